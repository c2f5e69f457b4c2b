"""Checkpoints that are either whole or not there, as far as resuming is concerned."""

import json
import logging
import shutil
from pathlib import Path

from gecko_kedro.base.digests import file_sha256
from gecko_kedro.base.files import flush, write_text

logger = logging.getLogger(__name__)

_SEAL = "sealed.json"
_PREFIX = "checkpoint-"


def seal_checkpoint(folder: Path) -> None:
    """Flush the files to the disk, then note their SHA-256: from here on the checkpoint counts."""
    flush(folder)
    write_text(folder / _SEAL, json.dumps(_digests(folder)))


def last_whole_checkpoint(folder: Path) -> Path | None:
    """The checkpoint of the highest step whose files are those that it was sealed with.

    Any other (the process was killed while it was written, a file was cut, a bit has flipped) is
    removed with a warning.
    """
    found = sorted(folder.glob(f"{_PREFIX}*"), key=checkpoint_step, reverse=True)
    for checkpoint in found:
        if _is_whole(checkpoint):
            return checkpoint
        logger.warning("Removed %s: it was not written to its end, or is damaged", checkpoint)
        shutil.rmtree(checkpoint)
    return None


def keep_last_checkpoints(folder: Path, count: int) -> None:
    """Remove all checkpoints but the ``count`` of the highest steps, whatever their times say."""
    for checkpoint in sorted(folder.glob(f"{_PREFIX}*"), key=checkpoint_step)[:-count]:
        shutil.rmtree(checkpoint)


def remove_checkpoints(checkpoints: Path, name: str) -> None:
    """Delete what ``train_encoder(..., name=name, checkpoints=checkpoints)`` left behind."""
    shutil.rmtree(checkpoints / name, ignore_errors=True)


def checkpoint_step(checkpoint: Path) -> int:
    """The optimiser steps that were done when ``checkpoint`` was written."""
    return int(checkpoint.name.removeprefix(_PREFIX))


def _digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): file_sha256(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != _SEAL and not path.name.startswith(".")
    }


def _is_whole(checkpoint: Path) -> bool:
    try:
        sealed = json.loads((checkpoint / _SEAL).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(sealed == _digests(checkpoint))
