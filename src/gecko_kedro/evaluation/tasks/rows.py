"""Tasks that are one table of rows: STS, pairs, classification, clustering, summarization."""

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property

import polars as pl

from gecko_kedro.base.errors import InputError
from gecko_kedro.corpus.schemas import QUARANTINE_SCHEMA
from gecko_kedro.evaluation.tasks.retrieval import check_name, quarantined
from gecko_kedro.evaluation.tasks.settings import TaskType

_SENTENCES = {"sentence1": pl.String, "sentence2": pl.String}
ROW_SCHEMAS: dict[TaskType, pl.Schema] = {
    "STS": pl.Schema({**_SENTENCES, "score": pl.Float64}),
    "PairClassification": pl.Schema({**_SENTENCES, "label": pl.Int64}),  # 1: they belong together
    "Classification": pl.Schema({"split": pl.String, "text": pl.String, "label": pl.String}),
    "Clustering": pl.Schema({"set": pl.Int64, "text": pl.String, "label": pl.String}),
    "Summarization": pl.Schema(
        {
            "text": pl.String(),
            "human_summaries": pl.List(pl.String),
            "machine_summaries": pl.List(pl.String),
            "relevance": pl.List(pl.Float64),  # one for each machine summary
        }
    ),
}


@dataclass(frozen=True)
class RowTask:
    """A task of one table (ROW_SCHEMAS) without bad rows; ``checked_rows`` makes it.

    Classification has rows of the splits ``train`` and ``test``. Clustering has one set, scored as
    mteb's ``AbsTaskClustering`` does, or several, scored set by set as its tasks of 2022 are
    (``AbsTaskClusteringLegacy``); ``sets`` tells which. All texts get the query template.
    """

    name: str
    type: TaskType
    rows: pl.DataFrame
    task: str
    sets: bool = False
    symmetric: bool = True

    def __post_init__(self) -> None:
        check_name(self.name)

    @cached_property
    def digest(self) -> str:
        """SHA-256 (first 16 hex digits) of what is scored, in its order: samples depend on it."""
        sha = hashlib.sha256(json.dumps([self.name, self.type, self.task, self.sets]).encode())
        for row in self.rows.iter_rows():
            sha.update(json.dumps(row).encode())
        return sha.hexdigest()[:16]

    @property
    def size(self) -> str:
        """How much there is, in words."""
        if self.type == "Classification":
            test = self.rows.filter(split="test").height
            return f"{test:,} texts, {self.rows.height - test:,} to train on"
        unit = {"Clustering": "texts", "Summarization": "texts"}.get(self.type, "pairs")
        return f"{self.rows.height:,} {unit}"


@dataclass(frozen=True)
class CheckedRows:
    """A task that can be scored, the rows that were set aside (QUARANTINE_SCHEMA), and counts."""

    data: RowTask
    quarantine: pl.DataFrame
    counts: dict[str, int] = field(default_factory=dict)


def checked_rows(
    name: str,
    task_type: TaskType,
    rows: pl.DataFrame,
    *,
    where: str,
    task: str,
    sets: bool = False,
    quarantine: pl.DataFrame | None = None,
) -> CheckedRows:
    """Set rows aside that cannot be scored and build the task from the rest, in its order.

    Empty texts stay, as in mteb's own sets, since leaving them out would change the scores. What
    cannot give a score at all (one label only, equal scores only) raises ``InputError``.
    """
    aside = [quarantine if quarantine is not None else pl.DataFrame(schema=QUARANTINE_SCHEMA)]
    rows = rows.select(ROW_SCHEMAS[task_type].names()).cast(ROW_SCHEMAS[task_type])
    numbered = rows.with_row_index("id")
    for reason, bad in _problems(task_type):
        records = numbered.filter(bad).iter_rows(named=True)
        aside.append(quarantined(records, where=where, reason=reason, detail=f"row of {name}"))
        numbered = numbered.filter(~bad)
    rows = numbered.drop("id")
    everything = pl.concat(aside)
    reasons = dict(everything.group_by("reason").len().sort("reason").iter_rows())
    _require_a_score(name, task_type, rows, reasons, where=where)
    counts = {"rows": rows.height, "quarantined": everything.height, **reasons}
    return CheckedRows(RowTask(name, task_type, rows, task, sets), everything, counts)


def _problems(task_type: TaskType) -> list[tuple[str, pl.Expr]]:
    """``(reason, mask of its rows)`` of every rule of this type of task."""
    texts = [name for name in ("sentence1", "sentence2", "text") if name in ROW_SCHEMAS[task_type]]
    found = [("missing_text", pl.any_horizontal(pl.col(name).is_null() for name in texts))]
    if task_type == "STS":
        found.append(("no_score", ~pl.col("score").is_finite().fill_null(False)))
    elif task_type == "PairClassification":
        found.append(("no_binary_label", ~pl.col("label").is_in([0, 1]).fill_null(False)))
    elif task_type in {"Classification", "Clustering"}:
        found.append(("missing_label", pl.col("label").is_null()))
    else:
        summaries = pl.col("machine_summaries").list.len()
        texts_of_both = (pl.col("human_summaries"), pl.col("machine_summaries"))
        holes = pl.any_horizontal(texts.list.eval(pl.element().is_null()).list.any()
                                  for texts in texts_of_both)  # fmt: skip
        scores = pl.col("relevance").list.eval(pl.element().is_finite().fill_null(False))
        found += [
            ("missing_text", holes.fill_null(False)),
            ("no_score", ~scores.list.all().fill_null(False)),
            ("no_human_summary", (pl.col("human_summaries").list.len() == 0).fill_null(True)),
            ("other_number_of_scores", summaries.ne_missing(pl.col("relevance").list.len())),
            ("fewer_than_two_summaries", (summaries < 2).fill_null(True)),
        ]
    return found


def _require_a_score(
    name: str, task_type: TaskType, rows: pl.DataFrame, reasons: dict[str, int], *, where: str
) -> None:
    """``reasons``: how many rows were set aside, by reason."""
    expected, enough = "at least one row", rows.height > 0
    if task_type == "STS":
        expected, enough = "pairs of at least two scores", rows["score"].n_unique() > 1
    elif task_type == "PairClassification":
        expected, enough = "pairs of both labels, 0 and 1", rows["label"].n_unique() > 1
    elif task_type == "Clustering":
        expected, enough = "texts of at least two labels", rows["label"].n_unique() > 1
    elif task_type == "Classification":
        train, test = rows.filter(split="train"), rows.filter(split="test")
        expected = "texts to train on of at least two labels, and texts to test on"
        enough = train["label"].n_unique() > 1 and test.height > 0
    elif task_type == "Summarization":
        expected = "a text whose summaries have at least two scores"
        enough = (rows["relevance"].list.n_unique() > 1).any()
    if not enough:
        gone = "".join(f", {count} {reason}" for reason, count in reasons.items())
        raise InputError(
            f"{task_type} task {name} at {where}", expected=expected,
            got=f"{rows.height} rows" + gone,
            fix="Check the columns, or map them with 'columns'.",
        )  # fmt: skip
