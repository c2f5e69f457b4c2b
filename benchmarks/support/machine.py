"""What a machine gives: its name, memory bandwidth, and the memory that a call takes."""

import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

_STATUS = Path("/proc/self/status")


def processor() -> str:
    """The processor's name and number of cores, as the system tells it."""
    text = Path("/proc/cpuinfo").read_text("utf-8")
    names = re.findall(r"model name\s*: (.*)", text) or ["unknown processor"]
    family = re.findall(r"cpu family\s*: (\d+)\n.*model\s*: (\d+)", text)
    which = " family {} model {}".format(*family[0]) if family else ""
    return f"{len(names)} x {names[0]}{which}"


def has_bfloat16() -> bool:
    """Whether the processor has instructions for bfloat16."""
    flags = set(Path("/proc/cpuinfo").read_text("utf-8").split())
    return bool(flags & {"avx512_bf16", "amx_bf16", "bf16"})


def read_bandwidth(threads: int, *, megabytes: int = 1024, repeats: int = 7) -> float:
    """The best rate, in GB/s, at which ``threads`` read memory that no cache holds."""
    import torch

    torch.set_num_threads(threads)
    numbers = torch.ones(megabytes << 18)
    best = 0.0
    for _ in range(repeats):
        for read in (numbers.sum, lambda: torch.dot(numbers, numbers), numbers.max):
            start = time.perf_counter()
            read()
            best = max(best, numbers.nbytes / (time.perf_counter() - start))
    return best / 1e9


def _status(name: str) -> int:
    found = re.search(rf"{name}:\s*(\d+) kB", _STATUS.read_text("utf-8"))
    assert found is not None
    return int(found[1]) * 1024


def extra_memory(call: Callable[[], object]) -> int:
    """By how many bytes the resident memory of the process grows at most during ``call``."""
    Path("/proc/self/clear_refs").write_text("5", "utf-8")  # resets the peak
    before = _status("VmRSS")
    call()
    return max(0, _status("VmHWM") - before)


class AnonymousPeak:
    """The most memory of its own, without pages of files, that the process has within the block."""

    def __enter__(self) -> "AnonymousPeak":
        self.bytes = _status("RssAnon")
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._done.wait(0.02):
            self.bytes = max(self.bytes, _status("RssAnon"))

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self.bytes = max(self.bytes, _status("RssAnon"))
