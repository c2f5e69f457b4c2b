"""What two processes compute together, for the tests of the ranks. Started by torchrun:

python -m torch.distributed.run --nproc-per-node 2 -m tests.support.two_processes gradients OUT.json
python -m torch.distributed.run --nproc-per-node 2 -m tests.support.two_processes train OUT [DIE_AT]
"""

import gc
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from gecko_kedro.base import events
from gecko_kedro.training import ranks
from gecko_kedro.training.followers import leading
from gecko_kedro.training.losses.batch import BatchLoss
from gecko_kedro.training.losses.embedded import Rows
from tests.support.tiny_encoder import tiny_encoder
from tests.training.test_passes import COLUMNS, OBJECTIVES, ROWS, labels

CASES = [
    (name, cached, tokens, without)
    for name in OBJECTIVES
    for cached in (False, True)
    for tokens in (32, None)
    for without in (False, True)
]
TRAINED = {"gradient_caching": False, "epochs": 2, "heldout_rows": 4}


def slice_of(rank: int, columns: list[list[str]]) -> tuple[list[list[str]], dict]:
    """Rows 0 to 2 or 3 and 4 of the batch, with their negatives: what the collator would give."""
    start, end = ((0, 3), (3, 5))[rank]
    mine = (ROWS.owner >= start) & (ROWS.owner < end)
    own = {
        field.name: getattr(ROWS, field.name)[mine]
        if field.name in {"negative", "owner", "rank"}
        else getattr(ROWS, field.name)[start:end]
        for field in fields(Rows)
    }
    own["owner"] = own["owner"] - start
    own["known"] = own["known"][:, : 1 - rank]  # the second has no column of known positives
    negatives = [columns[2][i] for i in torch.nonzero(mine).flatten().tolist()]
    return [columns[0][start:end], columns[1][start:end], negatives], own


def gradient(model, columns: list[list[str]], known: dict, case: tuple, wrapped=None) -> list:
    name, cached, tokens, _ = case
    plain = model if wrapped is None else wrapped.module
    plain.zero_grad()
    loss = BatchLoss(wrapped or model, OBJECTIVES[name], tokens_per_pass=tokens, cached=cached)
    value = loss([plain.preprocess(column) for column in columns], known)
    value.backward()
    found = [p.grad.clone() for p in plain.parameters() if p.grad is not None]
    return [value.detach(), *found]


def gradients(out: Path) -> None:
    """The largest difference of value and gradient from one process, for each case."""
    model = tiny_encoder().double().eval()
    pairs = Rows.distinct(5)
    alone = {}
    for case in CASES:
        columns = list(COLUMNS[:2]) if case[-1] else list(COLUMNS)
        known = vars(replace(pairs, query=ROWS.query)) if case[-1] else labels()
        alone[case] = gradient(model, columns, dict(known), case)
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    # As the trainer has it: passes differ in number.
    wrapped = DistributedDataParallel(model, find_unused_parameters=True, broadcast_buffers=False)
    result = {}
    for case in CASES:
        columns, known = slice_of(rank, list(COLUMNS))
        if case[-1]:
            start, end = ((0, 3), (3, 5))[rank]
            columns = columns[:2]
            known = vars(replace(pairs, query=ROWS.query))
            known = {k: v[start:end] if len(v) == 5 else v for k, v in known.items()}
        together = gradient(model, columns, known, case, wrapped)
        assert len(together) == len(alone[case])
        result[repr(case)] = [
            float((mine - theirs).abs().max())
            for mine, theirs in zip(together, alone[case], strict=True)
        ]
    if rank == 0:
        out.write_text(json.dumps(result), "utf-8")
    del wrapped  # before its group
    ranks.leave()


def only_when_unwrapped(destroy: Callable[[], None]) -> Callable[[], None]:
    """The end of the group, refused while a wrapped model is left: that may hang, now and then."""

    def checked() -> None:
        left = [o for o in gc.get_objects() if isinstance(o, DistributedDataParallel)]
        assert not left, f"{len(left)} wrapped models would outlive their process group"
        destroy()

    return checked


def train(folder: Path, die_at: int | None) -> None:
    """Train as test_trainer does; the weights go to a file. At step ``die_at`` all are killed."""
    from safetensors.torch import save_file

    from tests.support.small_training import changed, examples
    from tests.training.test_trainer import train_encoder

    def kill(name: str, step: int, values: object) -> None:
        if step == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    events.subscribe(kill)
    dist.destroy_process_group = only_when_unwrapped(dist.destroy_process_group)
    with leading() as runs:
        if not runs:
            return
        result = train_encoder(
            tiny_encoder(), examples(40), settings=changed(**TRAINED), loss="gecko",
            name="finetune", checkpoints=folder / "checkpoints",
        )  # fmt: skip
        save_file(result.model.state_dict(), folder / "weights.safetensors")
        (folder / "metrics.json").write_text(json.dumps(result.metrics), "utf-8")
        result.history.write_parquet(folder / "history.parquet")


if __name__ == "__main__":
    if sys.argv[1] == "gradients":
        gradients(Path(sys.argv[2]))
    else:
        train(Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else None)
