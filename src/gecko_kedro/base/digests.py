"""Identity of a file or folder, cheap to take before every run."""

import hashlib
import os
from pathlib import Path
from typing import Any

from gecko_kedro.base.files import files_below

_HASHED_BYTES = 64 * 1024 * 1024  # larger files are told apart by size and time


def source_identity(source: str | None, how: Any) -> str:
    """A hash of what lies at ``source`` and of ``how`` it is read.

    A file of at most 64 MB counts by its content, so that a copy or a fresh checkout is the same;
    a larger one by size and time of change; a folder by the names, sizes and times of its files.
    What is not on this machine (a Hub id, a missing file) counts by its name, and no source as one
    that never changes.
    """
    if not source:
        return hashlib.sha256(b"no source").hexdigest()
    path = Path(source).expanduser()
    digest = hashlib.sha256(repr(how).encode())
    if path.is_dir():
        digest.update(b"folder")
        for file, problem, _ in files_below(path):
            stamp = "" if problem else _stamp(file)
            digest.update(os.fsencode(file.relative_to(path)) + stamp.encode())
    elif path.is_file() and path.stat().st_size <= _HASHED_BYTES:
        with path.open("rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
    elif path.is_file():
        digest.update(f"{path.name}{_stamp(path)}".encode())
    else:
        digest.update(source.encode())
    return digest.hexdigest()


def _stamp(file: Path) -> str:
    stat = file.stat()
    return f"\0{stat.st_size}\0{stat.st_mtime_ns}\0"
