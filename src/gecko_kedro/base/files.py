"""Files that are either whole or absent, and all the files of a folder."""

import os
import stat
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

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


class FoundFile(NamedTuple):
    """A file below a folder; or what lies there and is none, with a reason and a detail."""

    path: Path
    problem: str | None = None
    detail: str = ""


def files_below(folder: Path) -> Iterator[FoundFile]:
    """The files of ``folder`` and of its folders, by name; hidden ones are passed over.

    Links to folders are followed after all else, each folder once, so that a circle of links ends.
    Problems: ``unreadable`` (no permission, a broken link), ``folder_seen_before``, ``not_a_file``
    (a pipe or a socket, which would never end).
    """
    seen: set[tuple[int, int]] = set()
    starts = deque([folder])
    while starts:
        yield from _walk(starts.popleft(), seen, starts)


def _walk(folder: Path, seen: set[tuple[int, int]], links: deque[Path]) -> Iterator[FoundFile]:
    try:
        place = folder.stat()
        names = sorted(os.listdir(folder))
    except OSError as error:
        yield FoundFile(folder, "unreadable", str(error))
        return
    if (place.st_dev, place.st_ino) in seen:
        yield FoundFile(folder, "folder_seen_before", f"a link to {folder.resolve()}")
        return
    seen.add((place.st_dev, place.st_ino))
    folders: list[Path] = []
    for path in (folder / name for name in names if not name.startswith(".")):
        try:
            mode = path.stat().st_mode
        except OSError as error:
            yield FoundFile(path, "unreadable", str(error))
            continue
        if stat.S_ISDIR(mode):
            (links if path.is_symlink() else folders).append(path)
        elif stat.S_ISREG(mode):
            yield FoundFile(path)
        else:
            yield FoundFile(path, "not_a_file", "a pipe, a socket or a device")
    for path in folders:
        yield from _walk(path, seen, links)
