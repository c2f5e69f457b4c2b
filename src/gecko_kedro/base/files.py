"""Files and folders that are either whole or absent, and all the files of a folder."""

import os
import shutil
import stat
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import polars as pl
from safetensors import SafetensorError

from gecko_kedro.base.errors import write_error


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary sibling of ``path``; it takes its place when the block ends well.

    The block makes a file or a folder there. All of it is flushed to the disk before the rename,
    and the rename after it, so that after a power cut there is the old content or the new one. A
    full disk or a folder without write permission raises ``InputError``.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with writing(temporary, of=path):
        remove(temporary)
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        flush(temporary)
        _take_place(temporary, path)
        _flush_one(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write a whole file of UTF-8 or none."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, "utf-8")


@contextmanager
def writing(path: Path, *, of: Path | None = None) -> Iterator[None]:
    """InputError, which names ``of`` or ``path``, where the disk does not take what is written.

    Whatever goes wrong, nothing is left at ``path``, a file or a folder.
    """
    try:
        yield
    except BaseException as error:
        with suppress(OSError):
            remove(path)
        if _is_of_the_disk(error):
            raise write_error(of or path, error) from error
        raise


def flush(path: Path) -> None:
    """Flush a file, or a folder and everything in it, to the disk."""
    if path.is_dir():
        for inner in path.iterdir():
            flush(inner)
    _flush_one(path)


def remove(path: Path) -> None:
    """Remove a file or a folder if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _flush_one(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        if not path.is_dir():  # some network file systems cannot flush a folder
            raise
    finally:
        os.close(descriptor)


def _take_place(temporary: Path, path: Path) -> None:
    if not (temporary.is_dir() and path.exists()):
        temporary.replace(path)
        return
    # A folder cannot be renamed over a non-empty one: the old one steps aside first, and is
    # restored should the second rename fail.
    aside = path.with_name(f".{path.name}.{os.getpid()}.old")
    path.rename(aside)
    try:
        temporary.rename(path)
    except OSError:
        aside.rename(path)
        raise
    remove(aside)


def _is_of_the_disk(error: BaseException) -> bool:
    """Polars, safetensors and torch have errors of their own for a full disk."""
    known = (OSError, pl.exceptions.ComputeError, SafetensorError)
    of_torch = isinstance(error, RuntimeError) and "PytorchStreamWriter" in str(error)
    return isinstance(error, known) or of_torch


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
