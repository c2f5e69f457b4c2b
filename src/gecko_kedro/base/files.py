"""Files that are either whole or absent: written under another name, then renamed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import polars as pl

from gecko_kedro.base.errors import write_error


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary sibling of ``path``; it takes its place when the block ends well.

    The file is flushed to the disk before the rename, so that after a power cut there is the old
    file or the new one. A full disk or a folder without write permission raises ``InputError``.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except (OSError, pl.exceptions.ComputeError) as error:  # polars wraps a full disk so
        raise write_error(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink()
