"""Rows of JSONL, CSV, TSV, Parquet and Hugging Face data sets, each with where it came from.

The one reader of tables: corpora, query logs, training sources and evaluation tasks come this way.
"""

import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from gecko_kedro.base.errors import InputError
from gecko_kedro.corpus.delimited import read_delimited
from gecko_kedro.corpus.lines import RawRow, decoding_of, read_lines, readable
from gecko_kedro.corpus.texts import is_unicode
from gecko_kedro.corpus.values import check_columns

logger = logging.getLogger(__name__)

_HEAD = 4_096  # bytes
TABLE_SUFFIXES = (".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")


def read_table(path: Path, *, wanted: Sequence[str] = ()) -> Iterator[RawRow]:
    """The rows of a JSONL, CSV, TSV or Parquet file, in its order; broken ones with a reason.

    Without ``wanted`` all columns are read. Texts of a row without a reason are Unicode.

    Raises InputError when a column of ``wanted`` is nowhere in the file, and for a file that is
    none of these formats.
    """
    check_readable(path)
    suffix = path.suffix.lower()
    if suffix in (".jsonl", ".ndjson"):
        return _read_jsonl(path, wanted)
    if suffix in (".csv", ".tsv"):
        return read_delimited(path, wanted)
    if suffix == ".parquet":
        rows = read_parquet(path, wanted).iter_rows(named=True)
        return (RawRow(f"{path}: row {n}", values) for n, values in enumerate(rows, start=1))
    raise InputError(
        str(path),
        expected=f"a folder or a file named {', '.join(TABLE_SUFFIXES)}",
        got=path.name,
        fix="Convert the file, or put text files into a folder and name the folder.",
    )


def check_readable(path: Path) -> None:
    """Raise InputError where ``path`` is no file that can be opened; a pipe would never end."""
    try:
        if path.exists() and not path.is_file():
            raise OSError(0, "no regular file")
        path.open("rb").close()
    except OSError as error:
        raise InputError(
            str(path),
            expected="a file that can be read",
            got=f"{type(error).__name__}: {error.strerror}",
            fix=f"Check the path and its permissions; relative paths start at {Path.cwd()}.",
        ) from error


def read_parquet(path: Path, wanted: Sequence[str] = ()) -> pl.DataFrame:
    """The ``wanted`` columns of a Parquet file, or all of them."""
    try:
        table = pl.scan_parquet(path, glob=False)  # a name may have brackets
        check_columns(str(path), wanted=wanted, present=table.collect_schema())
        return table.select(wanted or pl.all()).collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(
            str(path),
            expected="a Parquet file",
            got=f"{type(error).__name__}: {error}",
            fix="Write the file again; it may be cut short or of another format.",
        ) from error


def read_hub(reference: str, *, split: str, wanted: Sequence[str]) -> Iterator[RawRow]:
    """The rows of a Hugging Face data set ``"owner/name"`` or ``"owner/name:configuration"``."""
    import datasets

    name, _, configuration = reference.partition(":")
    try:
        table = datasets.load_dataset(name, configuration or None, split=split)
    except (OSError, ValueError, RuntimeError) as error:  # offline, unknown, no such split
        raise InputError(
            f"Hugging Face data set {reference!r}, split {split!r}",
            expected="a file or folder on this machine, or a data set on the Hub",
            got=f"{type(error).__name__}: {error}",
            fix="Check the spelling of the path or id and the network (HF_HUB_OFFLINE must not be "
            "1 for a first download), or name a local file.",
        ) from error
    check_columns(reference, wanted=wanted, present=table.column_names)
    for number, values in enumerate(table.select_columns(list(wanted)), start=1):
        yield RawRow(f"{reference}: row {number}", dict(values))


def _read_jsonl(path: Path, wanted: Sequence[str]) -> Iterator[RawRow]:
    present: dict[str, None] = {}
    for row in _json_rows(path):
        if row.reason is None:
            present |= dict.fromkeys(row.values)
        yield row
    if present:  # else no line could be read, which the caller reports with the reasons
        check_columns(str(path), wanted=wanted, present=present)


def _json_rows(path: Path) -> Iterator[RawRow]:
    array = _array_of(path)
    if array is not None:
        logger.info("%s is read as one JSON array, not as an object on each line", path)
        for number, values in enumerate(array, start=1):
            yield _of_object(f"{path}: row {number}", values, escapes=True)
        return
    for number, line in read_lines(path):
        if text := line.strip().removesuffix(","):  # as where an array lost its brackets
            yield _from_line(f"{path}:{number}", text)


def _array_of(path: Path) -> list[Any] | None:
    """The objects of a file that is one JSON array, whatever its name says."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    encoding, _ = decoding_of(head)
    if not head.decode(encoding, "replace").lstrip().startswith("["):
        return None
    try:
        found = json.loads(path.read_text(encoding))
    except (ValueError, RecursionError):
        return None
    return found if any(isinstance(values, dict) for values in found) else None


def _from_line(where: str, text: str) -> RawRow:
    if not is_unicode(text):
        return RawRow(where, {"line": readable(text)}, "not_utf8", "bytes that are not UTF-8")
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        return RawRow(where, {"line": text}, "broken_json", str(error))
    return _of_object(where, values, escapes="\\u" in text)


def _of_object(where: str, values: Any, *, escapes: bool) -> RawRow:
    if not isinstance(values, dict) or not values:
        kind = f"a JSON {type(values).__name__}" + ("" if values else " without content")
        return RawRow(where, {"line": values}, "not_an_object", kind)
    if escapes and not is_unicode(json.dumps(values, ensure_ascii=False)):
        return RawRow(where, values, "lone_surrogate", "half of a surrogate pair, no character")
    return RawRow(where, values)
