"""The results: each model against the base, with intervals, and what fine-tuning adds."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from gecko_kedro.base.errors import InputError
from gecko_kedro.evaluation.comparing.bootstrap import (
    INTERVAL_COLUMNS,
    Resampled,
    mean_of,
    paired,
    resampled,
)
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
    {"task": pl.String, "dimension": pl.Int64, "model": pl.String, "against": pl.String}
    | INTERVAL_COLUMNS
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
    judge = _Judge(table.per_query, groups, resamples, seed)
    order = {base: 0, **_PLACES, tuned: 3}
    place = pl.col("model").replace_strict(order, default=2)
    larger_first = -pl.col("dimension")
    rows = _wide(table.scores).sort("task", place, "model", larger_first).to_dicts()
    parts = [None if row["model"] == base else judge.against(row, base) for row in rows]
    results = [row | _columns(part) for row, part in zip(rows, parts, strict=True)]
    fret: list[dict[str, Any]] = []
    by_group: list[dict[str, Any]] = []
    for row in rows:
        at, task = row["dimension"], row["task"]
        if row["model"] != tuned:
            continue
        if pretrained and at in judge.dimensions(task, pretrained):
            fret.append({"task": task, "dimension": at, "model": tuned, "against": pretrained,
                         **_columns(judge.against(row, pretrained))})  # fmt: skip
        if at in judge.dimensions(task, tuned)[:1]:  # the full width
            by_group += judge.by_group(row, base)
    return Comparison(
        pl.DataFrame([*results, *_overall(rows, parts)], schema=RESULTS_SCHEMA),
        pl.DataFrame(fret, schema=DIFFERENCES_SCHEMA),
        pl.DataFrame(by_group, schema=GROUPS_SCHEMA),
        names,
    )


def _wide(scores: pl.DataFrame) -> pl.DataFrame:
    """One row for each result: its main score, and the other metrics where there are any."""
    keys = ["task", "type", "model", "dimension"]
    found, score = scores.filter("main").drop("main"), pl.col("score")
    for name in ("recall_at_20", "mrr_at_10"):
        extra = scores.filter(~pl.col("main"), metric=name).select(*keys, score.alias(name))
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


@dataclass(frozen=True)
class _Judge:
    """Paired differences between the models whose scores of ``single`` queries there are."""

    single: pl.DataFrame
    groups: pl.DataFrame
    resamples: int
    seed: int

    def dimensions(self, task: str, model: str) -> list[int]:
        """Of ``model`` on ``task``, the full width first."""
        of_model = self.single.filter(task=task, model=model)["dimension"]
        return sorted(of_model.drop_nulls().unique().to_list(), reverse=True)

    def against(self, row: Mapping[str, Any], other: str) -> Resampled | None:
        """A row of the scores against ``other``; None where no single scores of both are known."""
        pairs = self._pairs(row, other)
        return None if pairs.is_empty() else self._resampled(pairs, row)

    def by_group(self, row: Mapping[str, Any], other: str) -> Iterator[dict[str, Any]]:
        """A row of the scores against ``other`` in each group, resampled by query.

        Nothing for a task whose every query is a group of its own: there is no structure to show.
        """
        pairs = self._pairs(row, other)
        if pairs["group"].n_unique() == pairs.height:
            return
        for (group,), members in pairs.group_by("group", maintain_order=True):
            alone = members.with_columns(pl.int_range(pl.len()).cast(pl.String).alias("group"))
            named = {"task": row["task"], "group": group, "model": row["model"]}
            yield named | _columns(self._resampled(alone, row))

    def _pairs(self, row: Mapping[str, Any], other: str) -> pl.DataFrame:
        """``paired``, the other at the same dimension, or where it has no such at full width."""
        known = self.dimensions(row["task"], other)
        partner = row["dimension"] if row["dimension"] in known else next(iter(known), None)
        of_task = self.single.filter(task=row["task"])
        at = pl.col("dimension").eq_missing(pl.lit(row["dimension"], pl.Int64))
        return paired(
            of_task.filter(at, model=row["model"]),
            of_task.filter(pl.col("dimension") == partner, model=other),
            self.groups,
        )

    def _resampled(self, pairs: pl.DataFrame, row: Mapping[str, Any]) -> Resampled:
        return resampled(pairs, row["type"], resamples=self.resamples, seed=self.seed)


def _columns(part: Resampled | None) -> dict[str, Any]:
    return {} if part is None else part.interval().columns()
