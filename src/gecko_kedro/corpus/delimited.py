"""CSV and TSV files: rows out of lines, and no row that swallows others."""

import csv
import logging
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from gecko_kedro.base.errors import InputError
from gecko_kedro.corpus.lines import RawRow, read_lines, readable
from gecko_kedro.corpus.texts import is_unicode
from gecko_kedro.corpus.values import check_columns

logger = logging.getLogger(__name__)

Line = tuple[int, str]  # its number and its text
_DELIMITERS = (",", ";", "\t", "|")
_MOST_LINES = 5_000  # of one row: further than this no closing quotation mark is looked for
_FAR = 3  # lines below
_LIKE_ROWS = 0.8  # share of the lines below


class _Record(NamedTuple):
    """The fields of one row and the lines that they are from, or what is wrong with them."""

    lines: list[Line]
    fields: list[str]
    problem: str = ""


def read_delimited(path: Path, wanted: Sequence[str]) -> Iterator[RawRow]:
    """The rows of a CSV or TSV file with a header; broken ones with a reason.

    In TSV a quotation mark is an ordinary character and a line is a row. In CSV a quoted field may
    run over several lines; where it is not closed, or swallows lines that are rows themselves, only
    the line that opens it is set aside (``broken_csv``). A CSV file is separated by that one of
    ``, ; tab |`` which its header has most often.

    Raises InputError for a header that has not the ``wanted`` columns, or has a name twice.
    """
    lines = read_lines(path)
    first = next((line for line in lines if not _is_empty(line)), (0, ""))
    quotes = path.suffix.lower() != ".tsv"
    delimiter = max(_DELIMITERS, key=first[1].count) if quotes else "\t"
    split = _records if quotes else _plain_records
    [header] = [*split(iter([first]), delimiter, 0)] or [_Record([first], [])]
    names = [readable(name).strip() for name in header.fields]
    _check_header(path, header, names, wanted)
    last, rows, quoted = first[0], 0, 0
    for record in split(lines, delimiter, len(names)):
        rows, last = rows + 1, record.lines[-1][0]
        quoted += any(len(f) > 1 and f[0] == f[-1] == '"' for f in record.fields)
        yield _row(path, record, names)
    logger.info("%s: %d rows on %d lines, separated by %r", path, rows, last, delimiter)
    if quoted and not quotes:
        logger.warning(
            "%s: %d rows have a field within quotation marks, which are part of the text in TSV; "
            "if they are not meant, save the file as CSV", path, quoted,
        )  # fmt: skip


def _check_header(path: Path, header: _Record, names: list[str], wanted: Sequence[str]) -> None:
    twice = sorted({name for name in wanted or filter(None, names) if names.count(name) > 1})
    if header.problem or twice:
        raise InputError(
            str(path), expected="a header that names each column once",
            got=header.problem or twice, fix="Correct the first line.",
        )  # fmt: skip
    check_columns(str(path), wanted=wanted, present=names)


def _row(path: Path, record: _Record, names: list[str]) -> RawRow:
    where = f"{path}:{record.lines[0][0]}"
    values = dict(zip(names, record.fields, strict=False))
    fits = len(record.fields) == len(names)
    if fits and all(map(is_unicode, record.fields)):
        return RawRow(where, values)
    values["line"] = readable("".join(text for _, text in record.lines).rstrip("\r\n"))
    if record.problem:
        return RawRow(where, values, "broken_csv", record.problem)
    if fits:
        return RawRow(where, values, "not_utf8", "bytes that are not UTF-8")
    detail = f"{len(record.fields)} fields, the header has {len(names)}"
    return RawRow(where, values, "wrong_field_count", detail)


def _plain_records(lines: Iterator[Line], delimiter: str, _: int) -> Iterator[_Record]:
    for line in lines:
        if not _is_empty(line):
            yield _Record([line], line[1].rstrip("\r\n").split(delimiter))


def _records(lines: Iterator[Line], delimiter: str, width: int) -> Iterator[_Record]:
    waiting: deque[Line] = deque()
    while line := waiting.popleft() if waiting else next(lines, None):
        if '"' not in line[1]:
            yield from _plain_records(iter([line]), delimiter, width)
            continue
        record = _quoted(line, waiting, lines, delimiter)
        if not record.problem and _swallows(record, delimiter, width):
            below = len(record.lines) - 1
            problem = f"a quotation mark that closes {below} lines below, over rows of the table"
            record = record._replace(problem=problem)
        if record.problem:  # it keeps what follows and is no row; from there on it is read again
            taken = record.lines
            rows = (n for n in range(1, len(taken)) if len(_fields(taken[n], delimiter)) == width)
            end = next(rows, len(taken))
            waiting.extendleft(reversed(taken[end:]))
            record = record._replace(lines=taken[:end], fields=[])
        yield record


def _quoted(line: Line, waiting: deque[Line], lines: Iterator[Line], delimiter: str) -> _Record:
    """One record that begins with ``line`` and takes further ones while a quote is open."""
    taken: list[Line] = []

    def feed() -> Iterator[str]:
        following: Line | None = line
        while following is not None and len(taken) < _MOST_LINES:
            taken.append(following)
            yield following[1]
            following = waiting.popleft() if waiting else next(lines, None)
        if following is not None:
            waiting.appendleft(following)

    try:
        return _Record(taken, _parse(feed(), delimiter, strict=True))
    except csv.Error as error:
        return _Record(taken, [], str(error))


def _swallows(record: _Record, delimiter: str, width: int) -> bool:
    """Whether the lines of a row, but the first, look like rows of their own.

    They have as many fields as the header, where prose has a blank or the line's end behind its
    commas, and begin with a number where the row does. Without numbers one or two lines prove
    nothing.
    """
    numbered = record.fields[0].isdigit()
    below = [_fields(line, delimiter) for line in record.lines[1:]]
    rows = [
        fields
        for fields in below
        if len(fields) == width > 1
        and fields[-1]
        and not any(field[:1].isspace() for field in fields)
        and (fields[0].isdigit() or not numbered)
    ]
    enough = len(rows) >= _LIKE_ROWS * len(below)
    return bool(rows) and enough and (numbered or len(below) >= _FAR)


def _fields(line: Line, delimiter: str) -> list[str]:
    return _parse(iter([line[1]]), delimiter, strict=False)


def _parse(lines: Iterator[str], delimiter: str, *, strict: bool) -> list[str]:
    limit = csv.field_size_limit(sys.maxsize)  # else a field over 131,072 characters is an error
    try:
        return next(csv.reader(lines, delimiter=delimiter, strict=strict), [])
    finally:
        csv.field_size_limit(limit)


def _is_empty(line: Line) -> bool:
    return not line[1].strip("\r\n")
