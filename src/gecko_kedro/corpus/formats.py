"""Rows of JSONL, CSV, Parquet and Hugging Face data sets, each with the place it came from."""

import csv
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from gecko_kedro.base.errors import InputError, Words

TABLE_SUFFIXES = (".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")


class RawRow(NamedTuple):
    """One row as it was read, or the reason why it could not be."""

    where: str
    values: dict[str, Any]
    reason: str | None = None
    detail: str = ""


def read_table(path: Path, *, wanted: Sequence[str]) -> Iterator[RawRow]:
    """The rows of a JSONL, CSV, TSV or Parquet file, in its order; broken ones with a reason.

    Raises InputError when a column of ``wanted`` is nowhere in the file, and for a file that is
    none of these formats.
    """
    check_readable(path)
    suffix = path.suffix.lower()
    if suffix in (".jsonl", ".ndjson"):
        return _read_jsonl(path, wanted)
    if suffix in (".csv", ".tsv"):
        return _read_csv(path, wanted, delimiter="\t" if suffix == ".tsv" else ",")
    if suffix == ".parquet":
        return _read_parquet(path, wanted)
    raise InputError(
        str(path),
        expected=f"a folder or a file named {', '.join(TABLE_SUFFIXES)}",
        got=path.name,
        fix="Convert the file, or put text files into a folder and name the folder.",
    )


def check_readable(path: Path) -> None:
    """Raise InputError where ``path`` is no file that can be opened."""
    try:
        path.open("rb").close()
    except OSError as error:
        raise InputError(
            str(path),
            expected="a file that can be read",
            got=f"{type(error).__name__}: {error.strerror}",
            fix=f"Check the path and its permissions; relative paths start at {Path.cwd()}.",
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


def check_mapping(
    columns: Mapping[str, str | None], *, roles: Sequence[str], required: str, where: str
) -> dict[str, str]:
    """The roles of a column mapping that have a column, after a check of the roles' names."""
    for role in columns:
        if role not in roles:
            near = ", ".join(get_close_matches(role, roles, n=2)) or "none"
            raise InputError(
                where,
                expected=f"only {', '.join(roles)}",
                got=role,
                fix=f"Correct the name; near to it: {near}.",
            )
    if not columns.get(required):
        raise InputError(
            f"{where}.{required}",
            expected=f"the name of the column that holds the {required}",
            got=columns.get(required),
            fix="Set it in the column mapping.",
        )
    return {role: name for role, name in columns.items() if name is not None}


def check_columns(where: str, *, wanted: Iterable[str], present: Iterable[str]) -> None:
    """Raise InputError for the first of ``wanted`` that is not ``present``, naming the nearest."""
    present = list(present)
    for name in wanted:
        if name not in present:
            near = ", ".join(get_close_matches(name, present, n=3, cutoff=0.4)) or "none"
            raise InputError(
                where,
                expected=f"a column {name!r}",
                got=Words(f"no such column among {', '.join(present) or 'none at all'}"),
                fix=f"Set the column mapping; names near to it: {near}.",
            )


def _read_jsonl(path: Path, wanted: Sequence[str]) -> Iterator[RawRow]:
    present: dict[str, None] = {}
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            where = f"{path}:{number}"
            try:
                values = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
            except UnicodeDecodeError as error:
                yield RawRow(where, {"line": repr(line[:200])}, "not_utf8", str(error))
                continue
            except (ValueError, RecursionError) as error:
                if line.strip():
                    shown = line.decode("utf-8", "replace")
                    yield RawRow(where, {"line": shown}, "broken_json", str(error))
                continue
            if not isinstance(values, dict):
                kind = type(values).__name__
                yield RawRow(where, {"line": values}, "not_an_object", f"a JSON {kind}")
                continue
            present |= dict.fromkeys(values)
            yield RawRow(where, values)
    if present:  # else no line could be read, which the caller reports with the reasons
        check_columns(str(path), wanted=wanted, present=present)


def _read_csv(path: Path, wanted: Sequence[str], *, delimiter: str) -> Iterator[RawRow]:
    limit = csv.field_size_limit(sys.maxsize)  # else a field over 131,072 characters is an error
    try:
        # Bytes that are not UTF-8 become lone surrogates, so that only their row is set aside.
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            header = next(reader, [])
            check_columns(str(path), wanted=wanted, present=header)
            yield from _csv_rows(path, reader, header)
    finally:
        csv.field_size_limit(limit)


def _csv_rows(path: Path, reader: Any, header: list[str]) -> Iterator[RawRow]:
    while True:
        where = f"{path}:{reader.line_num + 1}"
        try:
            fields = next(reader, None)
        except csv.Error as error:
            yield RawRow(where, {}, "broken_csv", str(error))
            continue
        if fields is None:
            return
        if not fields:  # an empty line
            continue
        values = dict(zip(header, fields, strict=False))
        if len(fields) != len(header):
            detail = f"{len(fields)} fields, the header has {len(header)}"
            yield RawRow(where, values, "wrong_field_count", detail)
        elif any(map(_has_escaped_bytes, fields)):
            yield RawRow(where, values, "not_utf8", "bytes that are not UTF-8")
        else:
            yield RawRow(where, values)


def _has_escaped_bytes(field: str) -> bool:
    return not field.isascii() and any("\udc80" <= c <= "\udcff" for c in field)


def _read_parquet(path: Path, wanted: Sequence[str]) -> Iterator[RawRow]:
    try:
        check_columns(str(path), wanted=wanted, present=pl.read_parquet_schema(path))
        table = pl.read_parquet(path, columns=list(wanted))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(
            str(path),
            expected="a Parquet file",
            got=f"{type(error).__name__}: {error}",
            fix="Write the file again; it may be cut short or of another format.",
        ) from error
    for number, values in enumerate(table.iter_rows(named=True), start=1):
        yield RawRow(f"{path}: row {number}", values)
