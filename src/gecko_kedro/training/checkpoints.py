"""Checkpoints that are either whole or not there, as far as resuming is concerned."""

import json
import logging
import shutil
from pathlib import Path

from gecko_kedro.encoder.saving import flush_folder

logger = logging.getLogger(__name__)

_SEAL = "sealed.json"
_PREFIX = "checkpoint-"


def seal_checkpoint(folder: Path) -> None:
    """Flush the files to the disk, then note their sizes: from here on the checkpoint counts."""
    flush_folder(folder)
    seal = folder / _SEAL
    temporary = seal.with_suffix(".tmp")
    temporary.write_text(json.dumps(_sizes(folder)), encoding="utf-8")
    temporary.replace(seal)


def last_whole_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint whose files have the sizes they were sealed with.

    Any other (the process was killed while it was written, or a file was cut) is removed with a
    warning.
    """
    found = sorted(folder.glob(f"{_PREFIX}*"), key=checkpoint_step, reverse=True)
    for checkpoint in found:
        if _is_whole(checkpoint):
            return checkpoint
        logger.warning("Removed %s: it was not written to its end", checkpoint)
        shutil.rmtree(checkpoint)
    return None


def remove_checkpoints(checkpoints: Path, name: str) -> None:
    """Delete what ``train_encoder(..., name=name, checkpoints=checkpoints)`` left behind."""
    shutil.rmtree(checkpoints / name, ignore_errors=True)


def checkpoint_step(checkpoint: Path) -> int:
    """The optimiser steps that were done when ``checkpoint`` was written."""
    return int(checkpoint.name.removeprefix(_PREFIX))


def _sizes(folder: Path) -> dict[str, int]:
    return {
        path.relative_to(folder).as_posix(): path.stat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith("sealed.")
    }


def _is_whole(checkpoint: Path) -> bool:
    try:
        sealed = json.loads((checkpoint / _SEAL).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(sealed == _sizes(checkpoint))
