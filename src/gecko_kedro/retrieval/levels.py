"""Which implementation serves: the extension at one of its instruction sets, or NumPy."""

import importlib
import logging
import os
from functools import cache
from types import ModuleType

from gecko_kedro.base.errors import InputError

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


def level_for(dtype: str) -> str:
    """The level that serves an index of this ``dtype``.

    ``simd_level()``, unless none is forced and only another level has a first pass of that type:
    ``amx-int8`` has none in bfloat16, ``amx-bf16`` has.
    """
    level = simd_level()
    wanted = dtype in ("int8", "bfloat16") and packed_type(level) != dtype
    if not wanted or os.environ.get(VARIABLE, "").strip():
        return level
    return next((other for other in available_levels() if packed_type(other) == dtype), level)


def packed_type(level: str) -> str | None:
    """The number type, besides float32, in which ``level`` has a first pass, if it has one."""
    core = extension(level)
    if core is None:
        return None
    types = {"int8": core.byte_levels(), "bfloat16": core.bfloat16_levels()}
    return next((name for name, levels in types.items() if level in levels), None)


def packing_pays(level: str, n_queries: int) -> bool:
    """Whether a search with so many queries is faster on packed passages at ``level``.

    At ``avx2`` only few queries wait for the memory, of which packed passages need a quarter.
    """
    core = extension(level)
    most = 0 if core is None else core.most_packed_queries(level)
    return packed_type(level) is not None and (most == 0 or n_queries <= most)


def extension(level: str) -> ModuleType | None:
    """The compiled module, or None where NumPy serves ``level``."""
    return None if level == NUMPY else _load()


@cache
def _load() -> ModuleType | None:
    try:
        core = importlib.import_module("gecko_kedro._core")
    except ModuleNotFoundError:
        logger.warning(
            "gecko_kedro._core is not built: NumPy serves, slower and with the same results"
        )
        return None
    if refusal := core.amx_refusal():
        logger.warning("This processor has AMX, but %s: another level serves, slower", refusal)
    return core
