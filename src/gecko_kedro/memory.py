"""The memory of this process."""

import logging
import time
from pathlib import Path

import psutil

logger = logging.getLogger(__name__)


def reset_peak_memory() -> None:
    """Start the kernel's high-water mark afresh, where the kernel allows it (Linux)."""
    try:
        Path("/proc/self/clear_refs").write_text("5", "ascii")
    except OSError:
        logger.debug("no /proc/self/clear_refs: peak memory is that of the whole run")


def peak_memory_mb() -> float:
    """Highest resident size since the last reset, in MiB; the present one where unknown."""
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text("ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
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
