"""Reading the tasks that are one table of rows, from Parquet, JSONL, CSV and TSV files."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from gecko_kedro.base.errors import InputError, Words
from gecko_kedro.corpus.schemas import QUARANTINE_SCHEMA
from gecko_kedro.evaluation.tasks.retrieval import quarantined
from gecko_kedro.evaluation.tasks.retrieval_files import read_table, refusing
from gecko_kedro.evaluation.tasks.rows import CheckedRows, checked_rows
from gecko_kedro.evaluation.tasks.settings import TaskType

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
    if task_type == "Classification" and not folder.is_dir():
        raise InputError(
            str(folder), expected="a folder with the splits train and " + split,
            got=Words("no folder"), fix="Put both files into one folder and name that.",
        )  # fmt: skip
    rows, aside = _read_split(folder, split, task_type, columns or {})
    sets = task_type == "Clustering" and rows.schema["text"].base_type() == pl.List
    with refusing(str(folder), expected=f"columns of a {task_type} task"):
        if task_type == "Clustering":
            numbered = rows.with_row_index("set") if sets else rows.with_columns(set=pl.lit(0))
            rows, more = _taken_apart(numbered, where=str(folder), name=name)
        elif task_type in {"STS", "PairClassification"}:
            rows, more = _taken_apart(rows, where=str(folder), name=name)
        elif task_type == "Classification":
            train, more = _read_split(folder, "train", task_type, columns or {})
            text = [pl.col("text").cast(pl.String), pl.col("label").cast(pl.String)]
            rows = pl.concat(
                [part.select(pl.lit(split_name).alias("split"), *text)
                 for split_name, part in (("train", train), ("test", rows))]
            )  # fmt: skip
        else:
            more = aside.clear()
        return checked_rows(
            name, task_type, _typed(rows, task_type), where=str(folder), task=task,
            sets=sets, quarantine=pl.concat([aside, more]),
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
    there = (
        sorted(file.name for file in path.iterdir()) if path.is_dir() else Words("no such folder")
    )
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
                where, expected=f"a column {' or '.join(names)}",
                got=raw.columns or Words("no rows"),
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
    with refusing(str(folder), expected="columns of the same types in each file"):
        return pl.concat(tables, how="vertical_relaxed"), pl.concat(aside)


def _taken_apart(rows: pl.DataFrame, *, where: str, name: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """A row for each element of the lists; a row whose lists differ in length is set aside."""
    lists = [column for column, kind in rows.schema.items() if kind.base_type() == pl.List]
    if not lists:
        return rows, pl.DataFrame(schema=QUARANTINE_SCHEMA)
    length = pl.col(lists[0]).list.len()
    same = pl.all_horizontal(pl.col(other).list.len() == length for other in lists)
    even = same.fill_null(False)
    bad = quarantined(
        rows.with_row_index("id").filter(~even).iter_rows(named=True),
        where=where, reason="lists_of_unequal_length", detail=f"row of {name}",
    )  # fmt: skip
    return rows.filter(even).explode(lists), bad


def _typed(rows: pl.DataFrame, task_type: TaskType) -> pl.DataFrame:
    """Numbers as numbers: what is none becomes null, and goes with its reason."""
    number = {"STS": ("score", pl.Float64), "PairClassification": ("label", pl.Int64)}
    if task_type in number:
        column, kind = number[task_type]
        value = pl.col(column).cast(pl.Float64, strict=False)
        whole = value if kind == pl.Float64 else pl.when(value == value.round()).then(value)
        return rows.with_columns(whole.cast(kind, strict=False))
    if task_type == "Summarization":
        return rows.with_columns(pl.col("relevance").cast(pl.List(pl.Float64), strict=False))
    return rows
