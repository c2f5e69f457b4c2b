"""SHA-256 of files, folders and texts: what something is, whatever its name and its times."""

import hashlib
import json
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from gecko_kedro.base.files import files_below, writing

_BYTES_AT_ONCE = 1 << 20
Stamp = tuple[int, int]


def text_sha256(text: str) -> str:
    """The SHA-256 of ``text`` in UTF-8, as 64 hex digits."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def file_sha256(file: Path, offset: int = 0, size: int | None = None) -> str:
    """The SHA-256 of ``file``, or of ``size`` bytes from ``offset``; EOFError if it is shorter."""
    with file.open("rb") as content:
        if size is None:
            return hashlib.file_digest(content, "sha256").hexdigest()
        content.seek(offset)
        digest = hashlib.sha256()
        while size > 0:
            piece = content.read(min(size, _BYTES_AT_ONCE))
            if not piece:
                raise EOFError(f"{file} ends {size} bytes too early")
            digest.update(piece)
            size -= len(piece)
    return digest.hexdigest()


def files_sha256(files: Iterable[Path], root: Path, start: bytes = b"") -> str:
    """The SHA-256 of ``start``, then of each file's name below ``root`` and its own SHA-256."""
    digest = hashlib.sha256(start)
    for file in files:
        digest.update(os.fsencode(file.relative_to(root)))
        digest.update(bytes.fromhex(file_sha256(file)))
    return digest.hexdigest()


class Digests:
    """SHA-256 of files and folders; a file is read once, and again when its size or time changes.

    ``cache`` is a file that keeps what was found from one run to the next. It may be deleted at any
    time. Files below its folder go by their relative path there, so that it can be copied along.
    """

    def __init__(self, cache: Path | None = None) -> None:
        self._cache = cache
        self._folder = None if cache is None else cache.parent.absolute()
        self._known = {} if cache is None else _read(cache)
        self._new: dict[str, tuple[Stamp, str]] = {}

    def of(self, path: Path, *, again: bool = False) -> str:
        """The SHA-256 of a file, or of the names and contents of a folder.

        Hidden files do not count. ``again``: files are read even if size and time are the same.
        """
        if not path.is_dir():
            return self._of_file(path, again=again)
        digest = hashlib.sha256(b"folder")
        for file, problem, _ in files_below(path):
            content = problem or self._of_file(file, again=again)
            digest.update(b"%b\0%b\n" % (os.fsencode(file.relative_to(path)), content.encode()))
        return digest.hexdigest()

    def known(self, file: Path) -> str | None:
        """The SHA-256 that ``file`` had when its size and time were those of today, if known."""
        known = self._known.get(self._key(file))
        return known[1] if known is not None and known[0] == _stamp(file) else None

    def save(self) -> None:
        """Add what was found since the last time to the cache."""
        if self._cache is None or not self._new:
            return
        lines = [json.dumps([key, *stamp, sha256]) for key, (stamp, sha256) in self._new.items()]
        with writing(self._cache), self._cache.open("a", encoding="utf-8") as file:
            file.write("\n".join(["", *lines]))  # on a line of its own, whatever a kill has cut
        self._new.clear()

    def _of_file(self, file: Path, *, again: bool) -> str:
        if not again and (known := self.known(file)) is not None:
            return known
        stamp = _stamp(file)  # before it is read: a change while it is read must not go unseen
        sha256 = file_sha256(file)
        key = self._key(file)
        self._known[key] = self._new[key] = stamp, sha256
        return sha256

    def _key(self, file: Path) -> str:
        absolute = file.absolute()
        if self._folder is None or not absolute.is_relative_to(self._folder):
            return str(absolute)
        return str(absolute.relative_to(self._folder))


def source_identity(source: str | None, how: Any, digests: Digests | None = None) -> str:
    """A hash of what lies at ``source``, not of its name or times, and of ``how`` it is read.

    What is not on this machine (a Hub id, a missing file) counts by its name, and no source as one
    that never changes.
    """
    if not source:
        return text_sha256("no source")
    path = Path(source).expanduser()
    return text_sha256(f"{how!r}\0{(digests or Digests()).of(path) if path.exists() else source}")


def _stamp(file: Path) -> Stamp:
    status = file.stat()
    return status.st_size, status.st_mtime_ns


def _read(cache: Path) -> dict[str, tuple[Stamp, str]]:
    """What ``cache`` knows, the last line about a file; lines that a kill has cut say nothing."""
    known = {}
    lines = cache.read_text("utf-8", "replace").splitlines() if cache.is_file() else ()
    for line in lines:
        with suppress(ValueError, TypeError):
            key, size, time, sha256 = json.loads(line)
            known[key] = (size, time), sha256
    return known
