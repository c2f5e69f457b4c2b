"""Reading retrieval tasks that were made elsewhere: BEIR folders, JSONL and Parquet files."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import polars as pl

from gecko_kedro.base.errors import InputError, Words
from gecko_kedro.corpus import formats
from gecko_kedro.corpus.lines import usable
from gecko_kedro.corpus.quarantine import (
    QuarantineRow,
    count_reasons,
    quarantine_row,
    quarantine_table,
)
from gecko_kedro.corpus.values import as_names, as_text, as_texts, whole_numbers
from gecko_kedro.evaluation.tasks.retrieval import CheckedData, checked

_TABLES = ("corpus", "queries", "qrels")
# Where each table of a folder may lie; the first that exists is read.
_PLACES = {
    "corpus": ("corpus.parquet", "corpus.jsonl", "corpus/{split}.parquet"),
    "queries": (
        "queries_{split}.parquet", "queries_{split}.jsonl", "queries.parquet", "queries.jsonl",
        "queries/{split}.parquet",
    ),
    "qrels": (
        "qrels/{split}.tsv", "qrels_{split}.parquet", "qrels_{split}.jsonl", "qrels_{split}.tsv",
        "qrels.parquet", "qrels.jsonl", "qrels.tsv", "qrels/{split}.parquet",
    ),
}  # fmt: skip
# Our column: the names it has in the wild (BEIR, mteb, ../shared/data's layout).
_COLUMNS: dict[str, dict[str, tuple[str, ...]]] = {
    "corpus": {"id": ("id", "_id"), "title": ("title",), "text": ("text",)},
    "queries": {"id": ("id", "_id"), "text": ("text", "query"), "group": ("group",)},
    "qrels": {
        "query_id": ("query_id", "query-id"),
        "passage_id": ("passage_id", "doc_id", "corpus-id", "corpus_id"),
        "score": ("score",),
    },
}
_OPTIONAL = {"title", "group"}
_TEXTS = {"title", "text"}


def read_retrieval_data(
    source: str | Path | Mapping[str, str | Path],
    *,
    name: str,
    split: str = "test",
    columns: Mapping[str, str] | None = None,
    **how: Any,
) -> CheckedData:
    """Read a task from a folder, or from the files named by ``corpus``, ``queries``, ``qrels``.

    ``how``: ``task``, ``symmetric`` and ``reranking`` of ``RetrievalData``. ``columns`` maps names
    of ours (id, title, text, group, query_id, passage_id, score) to those of the files, in each
    file that has such a column.

    Rows that cannot be read or scored are set aside with a reason; a missing file or column, or a
    task with nothing left, raises ``InputError``. Queries without a ``group`` are their own group.
    """
    paths, columns = _locate(source, split), columns or {}
    wanted = {
        table: {ours: (*filter(None, [columns.get(ours)]), *usual) for ours, usual in names.items()}
        for table, names in _COLUMNS.items()
    }
    tables = {
        table: read_table(path, texts=[*chain.from_iterable(wanted[table].values())])
        for table, path in paths.items()
    }
    _require_columns(columns, [raw.columns for raw, _ in tables.values()])
    frames = {
        table: _with_our_columns(raw, table, wanted[table], where=str(paths[table]))
        for table, (raw, _) in tables.items()
    }
    queries = frames["queries"].with_columns(pl.coalesce("group", "id"))
    return checked(
        name, frames["corpus"], queries, frames["qrels"], where=str(paths["corpus"].parent),
        quarantine=pl.concat(bad for _, bad in tables.values()), **how,
    )  # fmt: skip


def _locate(source: str | Path | Mapping[str, str | Path], split: str) -> dict[str, Path]:
    if isinstance(source, Mapping):
        if set(source) != set(_TABLES):
            raise InputError(
                "files of a retrieval task", expected=f"the keys {list(_TABLES)}",
                got=sorted(source), fix="Name one file for each.",
            )  # fmt: skip
        paths = {table: Path(source[table]) for table in _TABLES}
    else:
        folder = Path(source)
        paths = {table: _first_existing(folder, table, split) for table in _TABLES}
    for table, path in paths.items():
        if not path.is_file():
            raise InputError(
                str(path), expected=f"the {table} of a retrieval task", got=Words("no such file"),
                fix="Check the path.",
            )  # fmt: skip
    return paths


def _first_existing(folder: Path, table: str, split: str) -> Path:
    places = [place.format(split=split) for place in _PLACES[table]]
    for place in places:
        if (folder / place).is_file():
            return folder / place
    raise InputError(
        str(folder), expected=f"the {table} as one of {', '.join(places)}", got=names_in(folder),
        fix=f"Check the path and the split ({split!r}).",
    )  # fmt: skip


def names_in(folder: Path) -> list[str] | Words:
    """The names of what lies in ``folder``, for a message."""
    if not folder.is_dir():
        return Words("no such folder")
    return sorted(path.name for path in folder.iterdir())


@contextmanager
def refusing(where: str, *, expected: str) -> Iterator[None]:
    """What polars cannot make of the columns of a file becomes ``InputError``."""
    try:
        yield
    except pl.exceptions.PolarsError as error:
        raise InputError(
            where, expected=expected, got=str(error).splitlines()[0],
            fix="Check the types of the columns.",
        ) from error  # fmt: skip


def read_table(
    path: Path, *, nested: bool = False, texts: Collection[str] = ()
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows, all columns as they come, and what could not be read (QUARANTINE_SCHEMA).

    Of a JSONL file numbers become texts, and lists are left out unless ``nested``. A list or a
    record in one of the columns ``texts`` is set aside (``not_a_string``), with its row unless it
    is a title.
    """
    if path.suffix.lower() == ".parquet":
        return formats.read_parquet(path), quarantine_table([])
    aside: list[QuarantineRow] = []
    rows = []
    for row in usable(formats.read_table(path), aside):
        bad = [name for name in texts if isinstance(row.values.get(name), list | dict)]
        if bad:
            aside.append(
                quarantine_row(
                    row.where, row.where, reason="not_a_string",
                    detail=f"{bad[0]} is a {type(row.values[bad[0]]).__name__}", record=row.values,
                )
            )  # fmt: skip
        if set(bad) <= {"title"}:
            rows.append(_scalars(row.values, nested=nested))
    if aside and not rows:
        raise InputError(
            str(path), expected="at least one row that can be read", got=count_reasons(aside),
            fix=f"First problem: {aside[0][0]}: {aside[0][3]}.",
        )  # fmt: skip
    table = pl.DataFrame(rows, infer_schema_length=None, strict=False)
    return table, quarantine_table(aside)


def find_column(raw: pl.DataFrame, aliases: Sequence[str], *, where: str) -> str:
    """The first of ``aliases`` that ``raw`` has."""
    for alias in aliases:
        if alias in raw.columns:
            return alias
    raise InputError(
        where, expected=f"a column {' or '.join(aliases)}", got=raw.columns or Words("no rows"),
        fix="Rename the column, or map it with 'columns'.",
    )  # fmt: skip


def _scalars(row: dict[str, object], *, nested: bool) -> dict[str, object]:
    """Values as texts (BEIR's ids are sometimes numbers); nested ones (metadata) are left out."""
    lists = {key: value for key, value in row.items() if nested and isinstance(value, list)}
    return lists | {  # labels: true is 1
        key: as_text(int(value) if isinstance(value, bool) else value)
        for key, value in row.items()
        if not isinstance(value, dict | list)
    }


def _require_columns(columns: Mapping[str, str], found: list[list[str]]) -> None:
    """Raise ``InputError`` for names of ours that are none, and for columns that no file has."""
    known = sorted({ours for names in _COLUMNS.values() for ours in names})
    there = {name for names in found for name in names}
    if set(columns) <= set(known) and set(columns.values()) <= there:
        return
    raise InputError(
        "columns of a retrieval task", expected=f"names out of {known}, and columns of its files",
        got=dict(columns), fix=f"Our name comes first: {{text: body}}. There are {sorted(there)}.",
    )  # fmt: skip


def _with_our_columns(
    raw: pl.DataFrame, table: str, wanted: Mapping[str, Sequence[str]], *, where: str
) -> pl.DataFrame:
    chosen: list[pl.Series | pl.Expr] = []
    for ours, aliases in wanted.items():
        if ours in _OPTIONAL and not set(aliases) & set(raw.columns):
            chosen.append(pl.lit(None, pl.String).alias(ours))
            continue
        theirs = raw[find_column(raw, aliases, where=where)]
        # A score "1" or "1.0" is seen; the rest is no_integer_score.
        made = whole_numbers if ours == "score" else as_texts if ours in _TEXTS else as_names
        with refusing(where, expected=f"texts, ids and scores in the {table}"):
            chosen.append(made(theirs).alias(ours))
    return raw.select(chosen)
