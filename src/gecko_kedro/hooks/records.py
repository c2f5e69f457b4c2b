"""The file beside an output that says what the output was made from."""

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gecko_kedro.base.digests import text_sha256
from gecko_kedro.base.files import write_text

logger = logging.getLogger(__name__)
Parts = dict[str, Any]


@dataclass(frozen=True)
class Fingerprint:
    """A digest and the parts that it was made of (``params:mine.search.n_candidates`` -> 20)."""

    digest: str
    parts: Parts

    @classmethod
    def of(cls, parts: Parts) -> "Fingerprint":
        """The fingerprint of ``parts``, which need not be JSON."""
        text = json.dumps(parts, sort_keys=True, default=str)
        return cls(text_sha256(text), json.loads(text))


@dataclass(frozen=True)
class Record:
    """What an output was made from, and its own SHA-256.

    Without a SHA-256 it was being saved when the run was killed, or is one of shards, which have
    checksums of their own.
    """

    fingerprint: Fingerprint
    sha256: str | None = None


def write_record(location: Path, record: Record) -> None:
    """Keep ``record`` beside ``location``."""
    made = record.fingerprint
    content = {"digest": made.digest, "parts": made.parts, "sha256": record.sha256}
    write_text(_file(location), json.dumps(content, indent=1, sort_keys=True))


def read_record(location: Path) -> Record | None:
    """The record beside ``location``; None without a readable one."""
    file = _file(location)
    if not file.is_file():
        return None
    try:
        content = json.loads(file.read_text("utf-8"))
        return Record(Fingerprint(content["digest"], content["parts"]), content["sha256"])
    except (ValueError, LookupError, TypeError):
        logger.warning("%s cannot be read: %s counts as put there by hand", file, location)
        return None


def _file(location: Path) -> Path:
    return location.with_name(f".{location.name}.fingerprint.json")
