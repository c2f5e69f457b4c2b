"""The processes of one training under torchrun or accelerate launch, seen from each of them.

Without a process group everything here is that of a single process and costs nothing.
"""

import gc
import json
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist


def world_size() -> int:
    """How many processes train together; 1 without a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def is_main() -> bool:
    """Whether this is the first of them: it alone writes, logs and reports."""
    return world_size() == 1 or dist.get_rank() == 0


def wait_for_all() -> None:
    """Go on when every process has come here."""
    if world_size() > 1:
        dist.barrier()


def leave() -> None:
    """End the process group, once nothing that trained with it is left.

    A DistributedDataParallel that outlives its group may hang for ever when it is collected: it
    waits for the group's threads and holds the interpreter's lock, which one may be waiting for.
    """
    gc.collect()  # the trainer refers to itself in circles
    dist.destroy_process_group()


def from_main(compute: Callable[[], Any]) -> Any:
    """What ``compute`` gives in the first process, in all of them; a value that JSON can hold."""
    if world_size() == 1:
        return compute()
    content = json.dumps(compute()).encode() if is_main() else b""
    return json.loads(send(content, device="cuda" if dist.get_backend() == "nccl" else "cpu"))


def send(content: bytes, *, device: str = "cpu", group: Any = None) -> bytes:
    """The ``content`` that the first process has, in all of them. No pickle."""
    length = torch.tensor([len(content)], device=device)
    dist.broadcast(length, src=0, group=group)
    if not length:
        return b""
    data = torch.empty(int(length), dtype=torch.uint8, device=device)
    if is_main():
        data.copy_(torch.frombuffer(bytearray(content), dtype=torch.uint8))
    dist.broadcast(data, src=0, group=group)
    return data.cpu().numpy().tobytes()
