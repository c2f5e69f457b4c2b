"""Which number format a device computes fast."""

from functools import cache
from pathlib import Path

_CPU_FLAGS = Path("/proc/cpuinfo")
_FAST_BF16 = frozenset({"avx512_bf16", "amx_bf16"})


@cache
def cpu_has_fast_bf16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware (AVX512-BF16 or AMX).

    Without it torch emulates bfloat16, which is slower than float32; so no file to read the flags
    from means no.
    """
    return not _FAST_BF16.isdisjoint(_cpu_flags())


@cache
def cpu_has_amx() -> bool:
    """Whether this CPU multiplies tiles of bfloat16 (AMX)."""
    return "amx_bf16" in _cpu_flags()


def _cpu_flags() -> list[str]:
    """What the CPU can do, by the names of /proc/cpuinfo; nothing where there is no such file."""
    if not _CPU_FLAGS.is_file():
        return []
    lines = _CPU_FLAGS.read_text(errors="replace").splitlines()
    return next((line.split() for line in lines if line.startswith("flags")), [])


def fast_bf16(device: str) -> bool:
    """Whether ``device`` (``cpu``, ``cuda``, ``cuda:1``, ``mps``) gains from bfloat16."""
    if device.startswith("cuda"):
        import torch

        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.startswith("cpu") and cpu_has_fast_bf16()
