"""What a reader makes of a row, and the lines of a text file whatever its encoding."""

import codecs
import logging
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from gecko_kedro.base.errors import InputError
from gecko_kedro.corpus.quarantine import QuarantineRow, quarantine_row

logger = logging.getLogger(__name__)

# UTF-32 first: its mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WITHOUT_MARK: dict[tuple[bool, ...], str] = {
    (False, True) * 2: "utf-16-le",
    (True, False) * 2: "utf-16-be",
}
_SURROGATE = re.compile("[\ud800-\udfff]")


class RawRow(NamedTuple):
    """One row as it was read, or the reason why it could not be; ``values`` are never empty."""

    where: str
    values: dict[str, Any]
    reason: str | None = None
    detail: str = ""


def usable(
    rows: Iterable[RawRow], aside: list[QuarantineRow], *, id_column: str = ""
) -> Iterator[RawRow]:
    """The rows that could be read; the others go to ``aside``."""
    for row in rows:
        if row.reason is None:
            yield row
            continue
        row_id = str(row.values.get(id_column) or row.where)
        aside.append(
            quarantine_row(
                row.where, row_id, reason=row.reason, detail=row.detail, record=row.values
            )
        )


def decoding_of(head: bytes) -> tuple[str, str]:
    """Encoding and errors, as ``bytes.decode`` takes them.

    UTF-8, unless a byte-order mark or a zero in every second byte says UTF-16 or UTF-32.
    Bytes that are no UTF-8 become lone surrogates, so that only their line or file is set aside.
    """
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name, "surrogateescape" if name == "utf-8-sig" else "surrogatepass"
    wide = _WITHOUT_MARK.get(tuple(byte == 0 for byte in head[:4]))
    return (wide, "surrogatepass") if wide else ("utf-8", "surrogateescape")


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    r"""Number (from 1) and text of each line of ``path``; lines end in ``\n``, ``\r\n`` or ``\r``.

    An encoding that is not plain UTF-8 is said in the log.
    """
    with path.open("rb") as file:
        encoding, errors = decoding_of(file.read(4))
    if encoding != "utf-8":
        logger.info("%s is read as %s, as its first bytes say", path, encoding)
    try:
        with path.open(encoding=encoding, errors=errors, newline="") as lines:
            yield from enumerate(lines, start=1)
    except UnicodeDecodeError as error:  # half a letter of two bytes
        raise InputError(
            str(path), expected=f"text in {encoding}", got=str(error), fix="Save it as UTF-8."
        ) from error


def readable(text: str) -> str:
    r"""``text`` with escapes for what has no UTF-8: a byte as ``\xe9``, half a pair as ``\ud83d``.

    File names and lines may hold such bytes; tables and logs cannot.
    """
    return _SURROGATE.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"
