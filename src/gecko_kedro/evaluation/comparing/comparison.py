"""The results: each model against the base, with intervals, and what fine-tuning adds."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from gecko_kedro.base.errors import InputError
from gecko_kedro.evaluation.comparing.bootstrap import Resampled, mean_of
from gecko_kedro.evaluation.comparing.paired import INTERVAL_COLUMNS, paired, resampled
from gecko_kedro.evaluation.scoring.score_table import BM25, HYBRID, ScoreTable

OVERALL = "all tasks"
RESULTS_SCHEMA = pl.Schema(
    {
        "task": pl.String, "type": pl.String, "metric": pl.String,  # the task's main score
        "model": pl.String, "dimension": pl.Int64,
        "score": pl.Float64, "recall_at_20": pl.Float64, "mrr_at_10": pl.Float64,
        **INTERVAL_COLUMNS,  # against the base at the same dimension; null for the base
    }
)  # fmt: skip
DIFFERENCES_SCHEMA = pl.Schema(
    {
        "task": pl.String,
        "dimension": pl.Int64,
        "model": pl.String,
        "against": pl.String,
        **INTERVAL_COLUMNS,
    }
)
GROUPS_SCHEMA = pl.Schema(
    {"task": pl.String, "group": pl.String, "model": pl.String, **INTERVAL_COLUMNS}
)
# Which model plays which part in the road's own evaluation.
NAMES = {"base": "base", "pretrained": "pretrained", "tuned": "gecko"}
_PLACES = {BM25: 1, HYBRID: 4}  # base 0, others 2, tuned 3


@dataclass(frozen=True)
class Comparison:
    """``results`` (RESULTS_SCHEMA), ``fret`` (tuned minus pretrained, DIFFERENCES_SCHEMA) and
    ``by_group`` (tuned minus base at full width in each query group, GROUPS_SCHEMA).

    Where several tasks were scored ``results`` ends in the rows of ``OVERALL``: the means over
    them. ``names`` says which model plays which part: base, pretrained, tuned.
    """

    results: pl.DataFrame
    fret: pl.DataFrame = field(default_factory=DIFFERENCES_SCHEMA.to_frame)
    by_group: pl.DataFrame = field(default_factory=GROUPS_SCHEMA.to_frame)
    names: Mapping[str, str] = field(default_factory=NAMES.copy)


def compare(
    table: ScoreTable,
    groups: pl.DataFrame,
    *,
    base: str,
    tuned: str,
    pretrained: str | None,
    resamples: int,
    seed: int,
) -> Comparison:
    """Compare all models of ``table`` with ``base``, query by query.

    ``groups``: ``task, query_id, group``; a query that it lacks is a group of its own. A model is
    compared with the base at its own dimension, BM25, the hybrid and dimensions that the base lacks
    with the base at full width. Rows are sorted by task, then base, BM25, others, tuned, hybrid;
    larger dimensions first.
    """
    names = {"base": base, "tuned": tuned} | ({"pretrained": pretrained} if pretrained else {})
    known = table.scores["model"].unique().to_list()
    if missing := [name for name in names.values() if name not in known]:
        raise InputError(
            "comparison", expected=f"scores of the model {missing[0]}", got=sorted(known),
            fix="See the failures in the score table.",
        )  # fmt: skip
    judge = _Judge(table, groups, resamples=resamples, seed=seed)
    order = {base: 0, **_PLACES, tuned: 3}
    rows = (
        _wide(table.scores)
        .with_columns(pl.col("model").replace_strict(order, default=2).alias("_order"))
        .sort("task", "_order", "model", "dimension", descending=[False, False, False, True])
        .drop("_order")
        .to_dicts()
    )
    parts = [judge.against(row, base) for row in rows]
    results = pl.DataFrame(
        [row | _columns(part) for row, part in zip(rows, parts, strict=True)]
        + list(_overall(rows, parts)),
        schema=RESULTS_SCHEMA,
    )
    fret = judge.everywhere(tuned, pretrained) if pretrained is not None else []
    return Comparison(
        results,
        pl.DataFrame(fret, schema=DIFFERENCES_SCHEMA),
        pl.DataFrame(judge.by_group(tuned, base), schema=GROUPS_SCHEMA),
        names,
    )


def _wide(scores: pl.DataFrame) -> pl.DataFrame:
    """One row for each result: its main score, and the other metrics where there are any."""
    keys = ["task", "type", "model", "dimension"]
    found = scores.filter("main").drop("main")
    for name in ("recall_at_20", "mrr_at_10"):
        extra = scores.filter(~pl.col("main"), metric=name).select(
            *keys, pl.col("score").alias(name)
        )
        found = found.join(extra, on=keys, how="left", nulls_equal=True)
    return found


def _overall(rows: list[dict[str, Any]], parts: list[Resampled | None]) -> Iterator[dict[str, Any]]:
    """Mean scores over all tasks, and the mean difference to the base with its interval.

    Only of models that have a result on every task, and only where there are several tasks.
    """
    count = len({row["task"] for row in rows})
    by_model: dict[tuple[str, int | None], list[int]] = {}
    for place, row in enumerate(rows):
        by_model.setdefault((row["model"], row["dimension"]), []).append(place)
    for (model, dimension), places in by_model.items():
        if count < 2 or len(places) < count:
            continue
        known = [part for place in places if (part := parts[place]) is not None]
        every = len(known) == count
        yield {
            "task": OVERALL, "type": "all", "metric": "mean of main scores", "model": model,
            "dimension": dimension,
            "score": pl.Series([rows[place]["score"] for place in places]).mean(),
            **_columns(mean_of(known) if every else None),
        }  # fmt: skip


class _Judge:
    """Paired differences between two (model, dimension) pairs of one score table."""

    def __init__(
        self, table: ScoreTable, groups: pl.DataFrame, *, resamples: int, seed: int
    ) -> None:
        self._single = table.per_query
        self._types = dict(table.scores.select("task", "type").unique().iter_rows())
        self._groups, self._resamples, self._seed = groups, resamples, seed

    def dimensions(self, task: str, model: str) -> list[int]:
        """Of ``model`` on ``task``, the full width first."""
        of_model = self._single.filter(task=task, model=model)["dimension"]
        return sorted(of_model.drop_nulls().unique().to_list(), reverse=True)

    def pairs(
        self, task: str, model: tuple[str, int | None], other: tuple[str, int | None]
    ) -> pl.DataFrame:
        """What both answered, as ``paired`` gives it."""
        ours, theirs = (
            self._single.filter(
                (pl.col("task") == task)
                & (pl.col("model") == name)
                & pl.col("dimension").eq_missing(pl.lit(dimension, pl.Int64))
            )
            for name, dimension in (model, other)
        )
        return paired(ours, theirs, self._groups)

    def resampled(self, task: str, pairs: pl.DataFrame) -> Resampled | None:
        """The difference of one table of pairs; None where no single scores are known."""
        if pairs.is_empty():
            return None
        return resampled(pairs, self._types[task], resamples=self._resamples, seed=self._seed)

    def against(self, row: Mapping[str, Any], base: str) -> Resampled | None:
        """One row of the scores against the base; None for the base and where it has no result."""
        task, dimension = row["task"], row["dimension"]
        of_base = self.dimensions(task, base)
        if row["model"] == base or not of_base:
            return None
        partner = dimension if dimension in of_base else of_base[0]
        return self.resampled(task, self.pairs(task, (row["model"], dimension), (base, partner)))

    def everywhere(self, model: str, other: str) -> list[dict[str, Any]]:
        """``model`` against ``other`` on every task at every dimension that both have."""
        return [
            {"task": task, "dimension": dimension, "model": model, "against": other,
             **_columns(self.resampled(
                 task, self.pairs(task, (model, dimension), (other, dimension))))}
            for task in sorted(self._single["task"].unique())
            for dimension in self.dimensions(task, model)
            if dimension in self.dimensions(task, other)
        ]  # fmt: skip

    def by_group(self, model: str, base: str) -> list[dict[str, Any]]:
        """``model`` against the base at full width in each group, resampled by query.

        Nothing for a task whose every query is a group of its own: there is no structure to show.
        """
        rows = []
        for task in sorted(self._single["task"].unique()):
            mine, theirs = self.dimensions(task, model), self.dimensions(task, base)
            if not mine or not theirs:
                continue
            pairs = self.pairs(task, (model, mine[0]), (base, theirs[0]))
            if pairs["group"].n_unique() == pairs.height:
                continue
            for (group,), members in pairs.group_by("group", maintain_order=True):
                alone = members.with_columns(pl.int_range(pl.len()).cast(pl.String).alias("group"))
                row = {"task": task, "group": group, "model": model}
                rows.append(row | _columns(self.resampled(task, alone)))
        return rows


def _columns(part: Resampled | None) -> dict[str, Any]:
    return {} if part is None else part.interval().columns()
