"""Reading retrieval tasks that were made elsewhere: BEIR folders, JSONL and Parquet files."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from gecko_kedro.base.errors import InputError, Words
from gecko_kedro.corpus.schemas import QUARANTINE_SCHEMA
from gecko_kedro.evaluation.tasks.retrieval import CheckedData, checked, quarantined

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


def read_retrieval_data(
    source: str | Path | Mapping[str, str | Path],
    *,
    name: str,
    split: str = "test",
    columns: Mapping[str, str] | None = None,
    task: str = "search result",
    symmetric: bool = False,
    reranking: bool = False,
) -> CheckedData:
    """Read a task from a folder, or from the files named by ``corpus``, ``queries``, ``qrels``.

    With ``reranking`` the judged passages of a query are its candidates. ``columns`` maps names of
    ours (id, title, text, group, query_id, passage_id, score) to those of the files, in each file
    that has such a column.

    Rows that cannot be read or scored are set aside with a reason; a missing file or column, or a
    task with nothing left, raises ``InputError``. Queries without a ``group`` are their own group.
    """
    paths = _locate(source, split)
    frames, aside = {}, [pl.DataFrame(schema=QUARANTINE_SCHEMA)]
    tables = {table: read_table(path) for table, path in paths.items()}
    _require_columns(columns or {}, [raw.columns for raw, _ in tables.values()])
    for table, (raw, bad) in tables.items():
        frames[table] = _with_our_columns(raw, table, paths[table], columns or {})
        aside.append(bad)
    queries = frames["queries"].with_columns(pl.coalesce("group", "id"))
    return checked(
        name, frames["corpus"], queries, frames["qrels"], where=str(paths["corpus"].parent),
        task=task, symmetric=symmetric, reranking=reranking, quarantine=pl.concat(aside),
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
    there = (
        sorted(path.name for path in folder.iterdir())
        if folder.is_dir()
        else Words("no such folder")
    )
    raise InputError(
        str(folder), expected=f"the {table} as one of {', '.join(places)}", got=there,
        fix=f"Check the path and the split ({split!r}).",
    )  # fmt: skip


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


def read_table(path: Path, *, nested: bool = False) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows, all columns as they come, and the lines that are no rows (QUARANTINE_SCHEMA).

    Of a JSONL file values become strings, and lists are left out unless ``nested``.
    """
    if path.suffix == ".jsonl":
        return _read_jsonl(path, nested=nested)
    nothing = pl.DataFrame(schema=QUARANTINE_SCHEMA)
    try:
        if path.suffix == ".parquet":
            return pl.read_parquet(path), nothing
        if path.suffix == ".csv":
            return pl.read_csv(path, infer_schema=False), nothing
        return pl.read_csv(path, separator="\t", infer_schema=False, quote_char=None), nothing
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(
            str(path), expected="a readable Parquet, JSONL, CSV or TSV file", got=str(error),
            fix="Write the file again.",
        ) from error  # fmt: skip


def _read_jsonl(path: Path, *, nested: bool) -> tuple[pl.DataFrame, pl.DataFrame]:
    rows: list[dict[str, object]] = []
    aside = [pl.DataFrame(schema=QUARANTINE_SCHEMA)]
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line.decode("utf-8-sig"))
                if not isinstance(row, dict):
                    raise TypeError("the line is no JSON object")
                if b"\\u" in line:  # half of a surrogate pair is JSON, and no text
                    json.dumps(row, ensure_ascii=False).encode()
            except (UnicodeError, json.JSONDecodeError, TypeError) as error:
                reason = "not_utf8" if isinstance(error, UnicodeError) else "not_json"
                shown: dict[str, object] = {
                    "id": str(number),
                    "line": line.decode("utf-8", "replace"),
                }
                aside.append(quarantined([shown], where=f"{path}, line {number}", reason=reason,
                                         detail=str(error)))  # fmt: skip
            else:
                rows.append(_scalars(row, nested=nested))
    return pl.DataFrame(rows, infer_schema_length=None, strict=False), pl.concat(aside)


def _scalars(row: dict[str, object], *, nested: bool) -> dict[str, object]:
    """Values as strings (BEIR's ids are sometimes numbers); nested ones (metadata) are left out."""

    def plain(value: object) -> object:
        if value is None or isinstance(value, list):
            return value
        return str(int(value) if isinstance(value, bool) else value)  # labels: true is 1

    return {
        key: plain(value)
        for key, value in row.items()
        if not isinstance(value, dict) and (nested or not isinstance(value, list))
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
    raw: pl.DataFrame, table: str, path: Path, columns: Mapping[str, str]
) -> pl.DataFrame:
    chosen = []
    for ours, usual in _COLUMNS[table].items():
        aliases = (columns[ours], *usual) if ours in columns else usual
        theirs = next((alias for alias in aliases if alias in raw.columns), None)
        if theirs is None and ours not in _OPTIONAL:
            raise InputError(
                str(path), expected=f"a column {' or '.join(aliases)}",
                got=raw.columns or Words("no rows"),
                fix="Rename the column, or map it with 'columns' of evaluate.tasks.",
            )  # fmt: skip
        column = pl.lit(None, pl.String) if theirs is None else pl.col(theirs)
        if ours == "score":  # "1" and "1.0" are both seen; the rest becomes no_integer_score
            number = column.cast(pl.Float64, strict=False)
            column = pl.when(number == number.round()).then(number).cast(pl.Int64, strict=False)
        else:
            column = column.cast(pl.String)
        chosen.append(column.alias(ours))
    with refusing(str(path), expected=f"texts, ids and scores in the {table}"):
        return raw.select(chosen)
