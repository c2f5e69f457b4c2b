"""The memory of this process."""

import ctypes
import logging
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import psutil

logger = logging.getLogger(__name__)

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4  # of malloc.h
_LARGEST_MMAP_THRESHOLD = 32 << 20  # to which glibc lets the threshold of a busy process grow


def reset_peak_memory() -> None:
    """Start the kernel's high-water mark afresh, where the kernel allows it (Linux)."""
    try:
        Path("/proc/self/clear_refs").write_text("5", "ascii")
    except OSError:
        logger.debug("no /proc/self/clear_refs: peak memory is that of the whole run")


def peak_memory_mb() -> float:
    """Highest resident size since the last reset, in MiB; the present one where unknown."""
    status = Path("/proc/self/status")
    text = status.read_text("ascii", errors="replace") if status.is_file() else ""
    if found := re.search(r"VmHWM:\s*(\d+)", text):
        return int(found[1]) / 1024
    return resident_memory() / 2**20


def resident_memory() -> int:
    """Bytes that are resident now."""
    return int(psutil.Process().memory_info().rss)


class Measuring:
    """Wall-clock ``seconds`` of a ``with`` block, and by how many bytes the process grew at most.

    The high-water mark is reset at its beginning.
    """

    seconds = 0.0
    memory = 0.0

    def __enter__(self) -> "Measuring":
        reset_peak_memory()
        self._before = resident_memory()
        self._started = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._started
        self.memory = max(0.0, peak_memory_mb() * 2**20 - self._before)


@contextmanager
def memory_kept() -> Iterator[None]:
    """Within the block glibc keeps what is freed for the next tensor; nothing elsewhere.

    It would return the memory of each pass to the system and ask for it again, and the system
    clears what it hands out: a sixth of a bfloat16 step of MiniLM at batch 64.
    """
    library = _libc()
    if library is None:
        yield
        return
    library.mallopt(_M_MMAP_MAX, 0)
    library.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:  # nothing tells what was set before: what glibc comes to by itself after large tensors
        library.mallopt(_M_MMAP_MAX, 65536)
        library.mallopt(_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
        library.mallopt(_M_TRIM_THRESHOLD, 2 * _LARGEST_MMAP_THRESHOLD)
        library.malloc_trim(0)


def give_back_free_memory() -> None:
    """Return what glibc's allocator holds but does not use to the system; nothing elsewhere.

    Tensors of ever other sizes leave the heap full of holes.
    """
    library = _libc()
    if library is not None:
        library.malloc_trim(0)


@cache
def _libc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "malloc_trim") else None  # musl has none
