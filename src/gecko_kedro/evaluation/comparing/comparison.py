"""The results: each model against the base, with intervals, and what fine-tuning adds."""

from dataclasses import dataclass

import polars as pl

from gecko_kedro.base.errors import InputError
from gecko_kedro.evaluation.comparing.bootstrap import (
    Interval,
    Resampled,
    mean_of,
    resampled_difference,
)
from gecko_kedro.evaluation.comparing.statistics import statistic_of
from gecko_kedro.evaluation.scoring.scoring_run import BM25, HYBRID, ScoreTable

_INTERVAL = {
    "difference": pl.Float64, "low": pl.Float64, "high": pl.Float64, "p": pl.Float64,
    "queries": pl.Int64, "groups": pl.Int64, "verdict": pl.String,
}  # fmt: skip
OVERALL = "all tasks"
RESULTS_SCHEMA = pl.Schema(
    {
        "task": pl.String, "type": pl.String, "metric": pl.String,  # the task's main score
        "model": pl.String, "dimension": pl.Int64,
        "score": pl.Float64, "recall_at_20": pl.Float64, "mrr_at_10": pl.Float64,
        **_INTERVAL,  # of the score against the base at the same dimension; null for the base
    }
)  # fmt: skip
DIFFERENCES_SCHEMA = pl.Schema(
    {
        "task": pl.String,
        "dimension": pl.Int64,
        "model": pl.String,
        "against": pl.String,
        **_INTERVAL,
    }
)
GROUPS_SCHEMA = pl.Schema({"task": pl.String, "group": pl.String, "model": pl.String, **_INTERVAL})
_PLACES = {BM25: 1, HYBRID: 4}  # base 0, others 2, tuned 3


@dataclass(frozen=True)
class Comparison:
    """``results`` (RESULTS_SCHEMA), ``fret`` (tuned minus pretrained, DIFFERENCES_SCHEMA) and
    ``by_group`` (tuned minus base at full width in each query group, GROUPS_SCHEMA).

    Where several tasks were scored ``results`` ends in the rows of ``OVERALL``: the means over
    them. ``names`` says which model plays which part: base, pretrained, tuned.
    """

    results: pl.DataFrame
    fret: pl.DataFrame
    by_group: pl.DataFrame
    names: dict[str, str]


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

    ``groups``: ``task, query_id, group`` (``RetrievalData.groups()`` of each task); a query that it
    lacks is a group of its own. A model is compared with the base at its own dimension, BM25, the
    hybrid and dimensions that the base lacks with the base at full width. Rows are sorted by task,
    then base, BM25, others, tuned, hybrid; larger dimensions first.
    """
    known = table.scores["model"].unique().to_list()
    for name in filter(None, (base, tuned, pretrained)):
        if name not in known:
            raise InputError(
                "comparison", expected=f"scores of the model {name}", got=sorted(known),
                fix="See the failures in the score table.",
            )  # fmt: skip
    judge = _Judge(table, groups, base=base, resamples=resamples, seed=seed)
    rows = _wide(table.scores).to_dicts()
    order = {base: 0, **_PLACES, tuned: 3}
    results = (
        pl.DataFrame(
            [{**row, **judge.against_base(row)} for row in rows if row["model"] != base]
            + [row for row in rows if row["model"] == base],
            schema=RESULTS_SCHEMA,
        )
        .with_columns(pl.col("model").replace_strict(order, default=2).alias("_order"))
        .sort("task", "_order", "model", "dimension", descending=[False, False, False, True])
    )
    overall = judge.overall(results, base)
    fret = judge.everywhere(tuned, pretrained) if pretrained is not None else []
    names = {"base": base, "tuned": tuned} | ({"pretrained": pretrained} if pretrained else {})
    return Comparison(
        pl.concat([results.drop("_order"), pl.DataFrame(overall, schema=RESULTS_SCHEMA)]),
        pl.DataFrame(fret, schema=DIFFERENCES_SCHEMA),
        pl.DataFrame(judge.by_group(tuned), schema=GROUPS_SCHEMA),
        names,
    )


def _wide(scores: pl.DataFrame) -> pl.DataFrame:
    """One row for each result: its main score, and the other metrics where there are any."""
    keys = ["task", "type", "model", "dimension"]
    more = [
        scores.filter(~pl.col("main"), metric=name).select(*keys, pl.col("score").alias(name))
        for name in ("recall_at_20", "mrr_at_10")
    ]
    found = scores.filter("main").drop("main")
    for extra in more:
        found = found.join(extra, on=keys, how="left", nulls_equal=True)
    return found


class _Judge:
    """Paired differences between two (model, dimension) pairs of one score table."""

    def __init__(
        self, table: ScoreTable, groups: pl.DataFrame, *, base: str, resamples: int, seed: int
    ) -> None:
        self._single = table.per_query.drop("top_ids")
        self._types = dict(table.scores.select("task", "type").unique().iter_rows())
        self._groups = groups.select("task", "query_id", "group")
        self._base, self._resamples, self._seed = base, resamples, seed

    def dimensions(self, task: str, model: str) -> list[int]:
        """Of ``model`` on ``task``, the full width first."""
        of_model = self._single.filter(task=task, model=model)["dimension"]
        return sorted(of_model.drop_nulls().unique().to_list(), reverse=True)

    def pairs(
        self, task: str, model: tuple[str, int | None], other: tuple[str, int | None]
    ) -> pl.DataFrame:
        """``query_id, a, gold, b, group`` of the queries that both answered."""
        a, b = (
            self._single.filter(
                (pl.col("task") == task)
                & (pl.col("model") == name)
                & pl.col("dimension").eq_missing(pl.lit(dimension, pl.Int64))
            ).select("query_id", pl.col("score").alias(column), "gold")
            for column, (name, dimension) in zip("ab", (model, other), strict=True)
        )
        grouped = self._groups.filter(task=task).select("query_id", "group")
        return (
            a.join(b.drop("gold"), on="query_id")
            .join(grouped, on="query_id", how="left")
            .with_columns(pl.coalesce("group", "query_id").alias("group"))
            .sort("query_id")
        )

    def resampled(self, task: str, pairs: pl.DataFrame) -> Resampled | None:
        """The difference of one table of pairs; None where no single scores are known."""
        if pairs.is_empty():
            return None
        return resampled_difference(
            pairs["a"].to_numpy(), pairs["b"].to_numpy(), pairs["group"].to_list(),
            resamples=self._resamples, seed=self._seed, gold=pairs["gold"].to_numpy(),
            statistic=statistic_of(self._types[task]),
        )  # fmt: skip

    def interval(self, task: str, pairs: pl.DataFrame) -> dict[str, object]:
        """The interval of one table of pairs as columns; none where no single scores are known."""
        found = self.resampled(task, pairs)
        return {} if found is None else _columns(found.interval())

    def partner(self, task: str, dimension: int | None) -> int | None:
        """The base's dimension that a model at ``dimension`` is set against."""
        of_base = self.dimensions(task, self._base)
        if not of_base:
            return None
        return dimension if dimension in of_base else of_base[0]

    def against_base(self, row: dict[str, object]) -> dict[str, object]:
        """One row of the scores against the base; nothing where the base has no result."""
        task, model, dimension = str(row["task"]), str(row["model"]), row["dimension"]
        own = dimension if isinstance(dimension, int) else None
        partner = self.partner(task, own)
        if partner is None:
            return {}
        return self.interval(task, self.pairs(task, (model, own), (self._base, partner)))

    def overall(self, results: pl.DataFrame, base: str) -> list[dict[str, object]]:
        """Mean scores over all tasks, and the mean difference to the base with its interval.

        Only of models that have a result on every task, and only where there are several tasks.
        """
        count = results["task"].n_unique()
        if count < 2:
            return []
        rows: list[dict[str, object]] = []
        keys = ["model", "dimension"]
        for (model, dimension), of_model in results.group_by(keys, maintain_order=True):
            if of_model.height < count:
                continue
            row = {
                "task": OVERALL, "type": "all", "metric": "mean of main scores",
                "model": model, "dimension": dimension, "score": of_model["score"].mean(),
            }  # fmt: skip
            own = dimension if isinstance(dimension, int) else None
            parts = [] if model == base else [
                self.resampled(task, self.pairs(task, (str(model), own), (base, partner)))
                for task in of_model["task"]
                if (partner := self.partner(task, own)) is not None
            ]  # fmt: skip
            known = [part for part in parts if part is not None]
            if len(known) == count:
                row |= _columns(mean_of(known).interval())
            rows.append(row)
        return rows

    def everywhere(self, model: str, other: str) -> list[dict[str, object]]:
        """``model`` against ``other`` on every task at every dimension that both have."""
        return [
            {"task": task, "dimension": dimension, "model": model, "against": other,
             **self.interval(task, self.pairs(task, (model, dimension), (other, dimension)))}
            for task in sorted(self._single["task"].unique())
            for dimension in self.dimensions(task, model)
            if dimension in self.dimensions(task, other)
        ]  # fmt: skip

    def by_group(self, model: str) -> list[dict[str, object]]:
        """``model`` against the base at full width in each group, resampled by query.

        Nothing for a task whose every query is a group of its own: there is no structure to show.
        """
        rows = []
        for task in sorted(self._single["task"].unique()):
            mine, theirs = self.dimensions(task, model), self.dimensions(task, self._base)
            if not mine or not theirs:
                continue
            pairs = self.pairs(task, (model, mine[0]), (self._base, theirs[0]))
            if pairs["group"].n_unique() == pairs.height:
                continue
            for (group,), members in pairs.group_by("group", maintain_order=True):
                alone = members.with_columns(pl.int_range(pl.len()).cast(pl.String).alias("group"))
                row = {"task": task, "group": group, "model": model}
                rows.append({**row, **self.interval(task, alone)})
        return rows


def _columns(interval: Interval) -> dict[str, object]:
    return {
        "difference": interval.difference, "low": interval.low, "high": interval.high,
        "p": interval.p, "queries": interval.queries, "groups": interval.groups,
        "verdict": interval.verdict,
    }  # fmt: skip
