"""Tasks that are one table of rows: STS, pairs, classification, clustering, summarization."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import polars as pl

from gecko_kedro.base.errors import InputError
from gecko_kedro.corpus.schemas import QUARANTINE_SCHEMA
from gecko_kedro.evaluation.tasks.retrieval import check_name, set_aside
from gecko_kedro.evaluation.tasks.settings import TaskType
from gecko_kedro.evaluation.tasks.task import Checked, texts_of

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
_NO_TEXTS = {"id", "split", "set", "score", "label", "relevance"}
# What must have at least two values for a score, in words and as a column.
_SEVERAL = {
    "STS": ("pairs of at least two scores", "score"),
    "PairClassification": ("pairs of both labels, 0 and 1", "label"),
    "Classification": ("texts to train on of at least two labels, and texts to test on", "label"),
    "Clustering": ("texts of at least two labels", "label"),
    "Summarization": ("a text whose summaries have at least two scores", "relevance"),
}
# mteb clusters 4 % of a set (AbsTaskClustering), which is meant for sets of tens of thousands: of a
# smaller one it would leave fewer than 1,000 texts, so all of them are taken.
_LARGE_CLUSTERING = 25_000


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
        if self.type == "Classification":
            test = self.rows.filter(split="test").height
            return f"{test:,} texts, {self.rows.height - test:,} to train on"
        unit = {"Clustering": "texts", "Summarization": "texts"}.get(self.type, "pairs")
        return f"{self.rows.height:,} {unit}"

    @property
    def revision(self) -> str:
        return self.digest

    def texts(self) -> pl.DataFrame:
        """EVALUATION_TEXT_SCHEMA: all texts, of classification those that are tested on."""
        rows = self.rows.with_row_index("id")
        if self.type == "Classification":
            rows = rows.filter(split="test")
        texts = [name for name in rows.columns if name not in _NO_TEXTS]
        ids = pl.format("row {}", "id")
        return texts_of(rows, task=self.name, side="query", ids=ids, of=texts)

    def to_mteb(self) -> Any:
        """The rows as a task of mteb, out of memory."""
        from datasets import Dataset, DatasetDict

        from gecko_kedro.evaluation.tasks.mteb_tasks import clusters_by_sets, local_task

        by_sets = self.sets and clusters_by_sets(self.name)
        columns = {split: rows.to_dict(as_series=False) for split, rows in self._parts(by_sets)}
        data = DatasetDict({split: Dataset.from_dict(rows) for split, rows in columns.items()})
        return local_task(self, data, self._settings(), by_sets=by_sets)

    def _parts(self, by_sets: bool) -> list[tuple[str, pl.DataFrame]]:
        """The rows of each split under the names that mteb has for their columns."""
        if self.type == "Classification":  # labels are numbers to mteb
            number = (pl.col("label").rank("dense") - 1).cast(pl.Int64)
            rows = self.rows.select("split", "text", number)
            return [(s, rows.filter(split=s).drop("split")) for s in ("train", "test")]
        if self.type == "PairClassification":
            return [("test", self.rows.rename({"label": "labels"}))]
        if self.type != "Clustering":
            return [("test", self.rows)]
        if not by_sets:
            return [("test", self.rows.select(sentences="text", labels="label"))]
        sets = self.rows.group_by("set", maintain_order=True)
        return [("test", sets.agg(sentences="text", labels="label").drop("set"))]

    def _settings(self) -> dict[str, Any]:
        """What mteb's class of this type is told about these rows."""
        if self.type == "Clustering" and not self.sets and self.rows.height < _LARGE_CLUSTERING:
            return {"max_fraction_of_documents_to_embed": 1.0}
        bounds = {"STS": "score", "Summarization": "relevance"}
        if self.type not in bounds:
            return {}
        scores = self.rows[bounds[self.type]]
        values = scores.explode() if self.type == "Summarization" else scores
        return {"min_score": values.min(), "max_score": values.max()}


CheckedRows: TypeAlias = Checked[RowTask]


def checked_rows(
    name: str,
    task_type: TaskType,
    rows: pl.DataFrame,
    *,
    where: str,
    task: str,
    sets: bool = False,
    quarantine: pl.DataFrame = QUARANTINE_SCHEMA.to_frame(),
) -> CheckedRows:
    """Set rows aside that cannot be scored and build the task from the rest, in its order.

    Empty texts stay, as in mteb's own sets, since leaving them out would change the scores. What
    cannot give a score at all (one label only, equal scores only) raises ``InputError``.
    """
    aside = [quarantine]
    rows = rows.select(ROW_SCHEMAS[task_type].names()).cast(ROW_SCHEMAS[task_type])
    numbered, detail = rows.with_row_index("id"), f"row of {name}"
    for reason, mask in _problems(task_type):
        numbered, bad = set_aside(numbered, mask, where=where, reason=reason, detail=detail)
        aside.append(bad)
    checked = Checked(RowTask(name, task_type, numbered.drop("id"), task, sets), pl.concat(aside))
    _require_a_score(checked, where=where)
    return checked


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


def _require_a_score(checked: CheckedRows, *, where: str) -> None:
    name, rows = checked.data.name, checked.data.rows
    expected, column = _SEVERAL[checked.data.type]
    if checked.data.type == "Summarization":
        enough = (rows[column].list.n_unique() > 1).any()
    elif checked.data.type == "Classification":
        train, test = rows.filter(split="train"), rows.filter(split="test")
        enough = train[column].n_unique() > 1 and test.height > 0
    else:
        enough = rows[column].n_unique() > 1
    if not enough:
        gone = "".join(f", {count} {reason}" for reason, count in checked.counts.items())
        raise InputError(
            f"{checked.data.type} task {name} at {where}", expected=expected,
            got=f"{rows.height} rows" + gone,
            fix="Check the columns, or map them with 'columns'.",
        )  # fmt: skip
