"""Which implementation serves: the extension at one of its instruction sets, or NumPy."""

import importlib
import logging
import os
from functools import cache
from types import ModuleType

from gecko_kedro.errors import InputError

logger = logging.getLogger(__name__)
VARIABLE = "GECKO_SIMD"
NUMPY = "numpy"
PORTABLE = "scalar"


def available_levels() -> tuple[str, ...]:
    """The levels that this machine and this build have, fastest first; ``numpy`` is always last."""
    core = _load()
    return (*(core.available_levels() if core else ()), NUMPY)


def simd_level() -> str:
    """The level that serves a search now: ``$GECKO_SIMD``, else the fastest one.

    Raises InputError where the variable names a level that is not available here.
    """
    forced = os.environ.get(VARIABLE, "").strip().lower()
    levels = available_levels()
    if forced and forced not in levels:
        raise InputError(
            f"environment variable {VARIABLE}",
            expected="one of " + ", ".join(levels) + " on this machine and build",
            got=forced,
            fix="Unset it to let the fastest available level serve.",
        )
    return forced or levels[0]


def extension(level: str) -> ModuleType | None:
    """The compiled module, or None where NumPy serves ``level``."""
    return None if level == NUMPY else _load()


def has_bytes(level: str) -> bool:
    """Whether ``level`` has a first pass in int8."""
    core = extension(level)
    return core is not None and level in core.byte_levels()


@cache
def _load() -> ModuleType | None:
    try:
        return importlib.import_module("gecko_kedro._core")
    except ModuleNotFoundError:
        logger.warning(
            "gecko_kedro._core is not built: NumPy serves, slower and with the same results"
        )
        return None
