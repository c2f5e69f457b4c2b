"""Reading the tasks that are one table of rows, from Parquet, JSONL, CSV and TSV files."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import polars as pl

from gecko_kedro.base.errors import InputError, Words
from gecko_kedro.corpus.quarantine import quarantine_table
from gecko_kedro.corpus.values import as_texts, whole_numbers
from gecko_kedro.evaluation.tasks.retrieval import set_aside
from gecko_kedro.evaluation.tasks.retrieval_files import find_column, names_in, read_table, refusing
from gecko_kedro.evaluation.tasks.rows import CheckedRows, checked_rows
from gecko_kedro.evaluation.tasks.settings import TaskPrompt, TaskSettings, TaskType

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

_NAMED = ("Classification", "Clustering")  # labels are names: 1.0 and 1 are one


def read_row_task(path: Path, settings: TaskSettings, prompt: TaskPrompt) -> CheckedRows:
    """The task in ``<path>/<split>.parquet`` (or .jsonl, .csv, .tsv), or in the file ``path``.

    Classification reads the split ``train`` of the folder besides. A clustering row whose text and
    label are lists is a set of its own, as in mteb's tasks of 2022; pairs in lists are taken apart.
    A missing file or column raises ``InputError``; bad rows are set aside with a reason.
    """
    where, name, kind = str(path), settings.name, settings.type
    assert kind is not None  # as of every local task
    if kind == "Classification" and not path.is_dir():
        raise InputError(
            where, expected="a folder with the splits train and " + settings.split,
            got=Words("no folder"), fix="Put both files into one folder and name that.",
        )  # fmt: skip

    def choose(raw: pl.DataFrame, where: str) -> pl.DataFrame:
        chosen = choose_columns(raw, _COLUMNS[kind], settings.columns, where=where)
        if kind not in _NAMED or _is_list(chosen, "label"):
            return chosen
        return chosen.with_columns(as_texts(chosen["label"]))

    rows, aside = read_split(path, settings.split, choose)
    sets, more = kind == "Clustering" and _is_list(rows, "text"), aside.clear()
    with refusing(where, expected=f"columns of a {kind} task"):
        if kind == "Clustering":
            rows = rows.with_row_index("set") if sets else rows.with_columns(set=pl.lit(0))
        if kind == "Classification":
            train, more = read_split(path, "train", choose)
            text = [pl.col("text").cast(pl.String), pl.col("label").cast(pl.String)]
            rows = pl.concat(
                part.select(pl.lit(split).alias("split"), *text)
                for split, part in (("train", train), ("test", rows))
            )
        elif kind != "Summarization":
            rows, more = _taken_apart(rows, where=where, name=name)
        return checked_rows(
            name, kind, _typed(rows, kind), where=where, task=prompt.task,
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
    raise InputError(
        str(path), expected=f"{split}.{{{','.join(_SUFFIXES)}}}", got=names_in(path),
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
        chosen.append(raw[find_column(raw, names, where=where)].alias(ours))
    return raw.select(chosen)


def read_split(
    folder: Path, split: str, choose: Callable[[pl.DataFrame, str], pl.DataFrame]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The columns that ``choose`` takes out of each file (table, path), and what was set aside."""
    tables, aside = [], []
    for file in find_split(folder, split):
        raw, bad = read_table(file, nested=True)
        tables.append(choose(raw, str(file)))
        aside.append(bad)
    with refusing(str(folder), expected="columns of the same types in each file"):
        return pl.concat(tables, how="vertical_relaxed"), pl.concat(aside)


def _taken_apart(rows: pl.DataFrame, *, where: str, name: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """A row for each element of the lists; a row whose lists differ in length is set aside."""
    lists = [column for column in rows.columns if _is_list(rows, column)]
    if not lists:
        return rows, quarantine_table([])
    length = pl.col(lists[0]).list.len()
    same = pl.all_horizontal(pl.col(other).list.len() == length for other in lists)
    even, bad = set_aside(
        rows.with_row_index("id"), ~same.fill_null(False),
        where=where, reason="lists_of_unequal_length", detail=f"row of {name}",
    )  # fmt: skip
    return even.drop("id").explode(lists), bad


def _is_list(rows: pl.DataFrame, column: str) -> bool:
    return rows.schema[column].base_type() == pl.List


def _typed(rows: pl.DataFrame, task_type: TaskType) -> pl.DataFrame:
    """Numbers as numbers: what is none becomes null, and goes with its reason."""
    if task_type == "STS":
        return rows.with_columns(pl.col("score").cast(pl.Float64, strict=False))
    if task_type == "PairClassification":
        return rows.with_columns(whole_numbers(rows["label"]))
    if task_type == "Summarization":
        return rows.with_columns(pl.col("relevance").cast(pl.List(pl.Float64), strict=False))
    return rows
