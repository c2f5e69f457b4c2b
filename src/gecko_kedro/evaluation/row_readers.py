"""Reading the tasks that are one table of rows, from Parquet, JSONL, CSV and TSV files."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from gecko_kedro.corpus.schemas import QUARANTINE_SCHEMA
from gecko_kedro.errors import InputError
from gecko_kedro.evaluation.readers import read_table
from gecko_kedro.evaluation.rows import CheckedRows, checked_rows
from gecko_kedro.evaluation.task_settings import TaskType

_SUFFIXES = ("parquet", "jsonl", "csv", "tsv")
_SENTENCES = {
    "sentence1": ("sentence1", "sent1", "text1", "premise"),
    "sentence2": ("sentence2", "sent2", "text2", "hypothesis"),
}
# Our column: the names it has in the wild.
_COLUMNS: dict[TaskType, dict[str, tuple[str, ...]]] = {
    "STS": {**_SENTENCES, "score": ("score", "similarity_score", "label")},
    "PairClassification": {**_SENTENCES, "label": ("label", "labels")},
    "Classification": {"text": ("text", "sentence"), "label": ("label", "labels")},
    "Clustering": {"text": ("text", "sentences", "sentence"), "label": ("label", "labels")},
    "Summarization": {
        "text": ("text",),
        "human_summaries": ("human_summaries",),
        "machine_summaries": ("machine_summaries",),
        "relevance": ("relevance", "relevance_scores"),
    },
}


def read_row_task(
    path: str | Path,
    *,
    name: str,
    task_type: TaskType,
    split: str = "test",
    columns: Mapping[str, str] | None = None,
    task: str,
) -> CheckedRows:
    """The task in ``<path>/<split>.parquet`` (or .jsonl, .csv, .tsv), or in the file ``path``.

    Classification reads the split ``train`` of the folder besides. A clustering row whose text and
    label are lists is a set of its own, as in mteb's tasks of 2022; pairs in lists are taken apart.
    A missing file or column raises ``InputError``; bad rows are set aside with a reason.
    """
    folder = Path(path).expanduser()
    rows, aside = _read_split(folder, split, task_type, columns or {})
    sets = task_type == "Clustering" and rows.schema["text"].base_type() == pl.List
    if sets:
        rows = rows.with_row_index("set").explode("text", "label")
    elif task_type == "Clustering":
        rows = rows.with_columns(pl.lit(0).alias("set"))
    elif task_type in {"STS", "PairClassification"}:
        lists = [column for column, kind in rows.schema.items() if kind.base_type() == pl.List]
        rows = rows.explode(lists) if lists else rows
    elif task_type == "Classification":
        if not folder.is_dir():
            raise InputError(
                str(folder), expected="a folder with the splits train and " + split,
                got="no folder", fix="Put both files into one folder and name that.",
            )  # fmt: skip
        train, more = _read_split(folder, "train", task_type, columns or {})
        aside = pl.concat([aside, more])
        text = [pl.col("text").cast(pl.String), pl.col("label").cast(pl.String)]
        rows = pl.concat(
            [rows.select(pl.lit(part).alias("split"), *text)
             for part, rows in (("train", train), ("test", rows))]
        )  # fmt: skip
    return checked_rows(
        name, task_type, _typed(rows, task_type, where=str(folder)), where=str(folder), task=task,
        sets=sets, quarantine=aside,
    )  # fmt: skip


def find_split(path: Path, split: str) -> list[Path]:
    """The files of ``split`` in the folder ``path``, or ``path`` itself where it is a file."""
    if path.is_file():
        return [path]
    for base in (path, path / "data"):
        for suffix in _SUFFIXES:
            if (base / f"{split}.{suffix}").is_file():
                return [base / f"{split}.{suffix}"]
            if shards := sorted(base.glob(f"{split}-*-of-*.{suffix}")):
                return shards
    there = sorted(file.name for file in path.iterdir()) if path.is_dir() else "no such folder"
    raise InputError(
        str(path), expected=f"{split}.{{{','.join(_SUFFIXES)}}}", got=there,
        fix="Check path and split of the task.",
    )  # fmt: skip


def choose_columns(
    raw: pl.DataFrame,
    wanted: Mapping[str, Sequence[str]],
    columns: Mapping[str, str],
    *,
    where: str,
) -> pl.DataFrame:
    """The ``wanted`` columns (ours: possible names) of ``raw``; ``columns`` names them outright."""
    if unknown := sorted(set(columns) - set(wanted)):
        raise InputError(
            f"columns of {where}", expected=f"names out of {list(wanted)}", got=unknown,
            fix="Our name comes first: {sentence1: premise}.",
        )  # fmt: skip
    chosen = []
    for ours, aliases in wanted.items():
        names = (columns[ours],) if ours in columns else aliases
        theirs = next((name for name in names if name in raw.columns), None)
        if theirs is None:
            raise InputError(
                where, expected=f"a column {' or '.join(names)}", got=raw.columns or "no rows",
                fix="Rename the column, or map it with 'columns'.",
            )  # fmt: skip
        chosen.append(pl.col(theirs).alias(ours))
    return raw.select(chosen)


def _read_split(
    folder: Path, split: str, task_type: TaskType, columns: Mapping[str, str]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    tables, aside = [], [pl.DataFrame(schema=QUARANTINE_SCHEMA)]
    for file in find_split(folder, split):
        raw, bad = read_table(file, nested=True)
        tables.append(choose_columns(raw, _COLUMNS[task_type], columns, where=str(file)))
        aside.append(bad)
    return pl.concat(tables, how="vertical_relaxed"), pl.concat(aside)


def _typed(rows: pl.DataFrame, task_type: TaskType, *, where: str) -> pl.DataFrame:
    """Numbers as numbers: what is none becomes null, and goes with its reason."""
    number = {"STS": ("score", pl.Float64), "PairClassification": ("label", pl.Int64)}
    try:
        if task_type in number:
            column, kind = number[task_type]
            value = pl.col(column).cast(pl.Float64, strict=False)
            whole = value if kind == pl.Float64 else pl.when(value == value.round()).then(value)
            return rows.with_columns(whole.cast(kind))
        if task_type == "Summarization":
            return rows.with_columns(pl.col("relevance").cast(pl.List(pl.Float64)))
    except pl.exceptions.PolarsError as error:
        raise InputError(
            where, expected=f"columns of a {task_type} task", got=str(error),
            fix="Check the types of the columns.",
        ) from error  # fmt: skip
    return rows
