"""The results: each model against the base, with intervals, and what FRet adds."""

from dataclasses import dataclass

import polars as pl

from gecko_kedro.errors import InputError
from gecko_kedro.evaluation.bootstrap import Interval, paired_bootstrap
from gecko_kedro.evaluation.mteb_runner import BM25, ScoreTable

_INTERVAL = {
    "difference": pl.Float64, "low": pl.Float64, "high": pl.Float64, "p": pl.Float64,
    "queries": pl.Int64, "groups": pl.Int64, "verdict": pl.String,
}  # fmt: skip
RESULTS_SCHEMA = pl.Schema(
    {
        "task": pl.String, "model": pl.String, "dimension": pl.Int64,
        "ndcg_at_10": pl.Float64, "recall_at_20": pl.Float64, "mrr_at_10": pl.Float64,
        **_INTERVAL,  # of nDCG@10 against the base at the same dimension; null for the base
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


@dataclass(frozen=True)
class Comparison:
    """``results`` (RESULTS_SCHEMA), ``fret`` (tuned minus pretrained, DIFFERENCES_SCHEMA) and
    ``by_group`` (tuned minus base at full width in each query group, GROUPS_SCHEMA).

    ``names`` says which model plays which part: base, pretrained, tuned.
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

    ``groups``: ``task, query_id, group`` (``RetrievalData.groups()`` of each task). A model is
    compared with the base at its own dimension, BM25 and dimensions that the base lacks with the
    base at full width. Rows are sorted by task, then base, BM25, others, tuned; larger first.
    """
    known = table.scores["model"].unique().to_list()
    for name in filter(None, (base, tuned, pretrained)):
        if name not in known:
            raise InputError(
                "comparison", expected=f"scores of the model {name}", got=sorted(known),
                fix="See the failures in the score table.",
            )  # fmt: skip
    judge = _Judge(table.per_query, groups, base=base, resamples=resamples, seed=seed)
    scores = table.scores.pivot(
        on="metric",
        index=["task", "model", "dimension"],
        values="score",
        aggregate_function="first",
    )
    results = [
        {**row, **(judge.against_base(row) if row["model"] != base else {})}
        for row in scores.iter_rows(named=True)
    ]
    order = {base: 0, BM25: 1, tuned: 3}
    sorted_results = (
        pl.DataFrame(results, schema=RESULTS_SCHEMA)
        .with_columns(pl.col("model").replace_strict(order, default=2).alias("_order"))
        .sort("task", "_order", "model", "dimension", descending=[False, False, False, True])
        .drop("_order")
    )
    fret = judge.everywhere(tuned, pretrained) if pretrained is not None else []
    names = {"base": base, "tuned": tuned} | ({"pretrained": pretrained} if pretrained else {})
    return Comparison(
        sorted_results,
        pl.DataFrame(fret, schema=DIFFERENCES_SCHEMA),
        pl.DataFrame(judge.by_group(tuned), schema=GROUPS_SCHEMA),
        names,
    )


class _Judge:
    """Paired differences between two (model, dimension) pairs of one score table."""

    def __init__(
        self, per_query: pl.DataFrame, groups: pl.DataFrame, *, base: str, resamples: int, seed: int
    ) -> None:
        self._single = per_query.select("model", "dimension", "task", "query_id", "ndcg_at_10")
        self._groups = groups.select("task", "query_id", "group")
        self._base, self._resamples, self._seed = base, resamples, seed

    def dimensions(self, task: str, model: str) -> list[int]:
        """Of ``model`` on ``task``, the full width first."""
        of_model = self._single.filter(task=task, model=model)["dimension"]
        return sorted(of_model.drop_nulls().unique().to_list(), reverse=True)

    def pairs(
        self, task: str, model: tuple[str, int | None], other: tuple[str, int | None]
    ) -> pl.DataFrame:
        """``group, a, b`` of the queries that both answered."""
        a, b = (
            self._single.filter(
                (pl.col("task") == task)
                & (pl.col("model") == name)
                & pl.col("dimension").eq_missing(pl.lit(dimension, pl.Int64))
            ).select("query_id", pl.col("ndcg_at_10").alias(column))
            for column, (name, dimension) in zip("ab", (model, other), strict=True)
        )
        grouped = self._groups.filter(task=task).select("query_id", "group")
        return a.join(b, on="query_id").join(grouped, on="query_id").sort("query_id")

    def interval(self, pairs: pl.DataFrame) -> dict[str, object]:
        """The interval of one table of pairs as columns."""
        found = paired_bootstrap(
            pairs["a"].to_numpy(), pairs["b"].to_numpy(), pairs["group"].to_list(),
            resamples=self._resamples, seed=self._seed,
        )  # fmt: skip
        return _columns(found)

    def against_base(self, row: dict[str, object]) -> dict[str, object]:
        """One row of the scores against the base; nothing where the base has no result."""
        task, model, dimension = str(row["task"]), str(row["model"]), row["dimension"]
        of_base = self.dimensions(task, self._base)
        if not of_base:
            return {}
        own = dimension if isinstance(dimension, int) else None
        partner = own if own in of_base else of_base[0]
        return self.interval(self.pairs(task, (model, own), (self._base, partner)))

    def everywhere(self, model: str, other: str) -> list[dict[str, object]]:
        """``model`` against ``other`` on every task at every dimension that both have."""
        return [
            {"task": task, "dimension": dimension, "model": model, "against": other,
             **self.interval(self.pairs(task, (model, dimension), (other, dimension)))}
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
                rows.append({"task": task, "group": group, "model": model, **self.interval(alone)})
        return rows


def _columns(interval: Interval) -> dict[str, object]:
    return {
        "difference": interval.difference, "low": interval.low, "high": interval.high,
        "p": interval.p, "queries": interval.queries, "groups": interval.groups,
        "verdict": interval.verdict,
    }  # fmt: skip


def headline(comparison: Comparison) -> str:
    """One honest sentence on the tuned model at full width, task by task."""
    names, sentences = comparison.names, []
    for (task,), rows in comparison.results.group_by("task", maintain_order=True):
        tuned = rows.filter(model=names["tuned"]).head(1)
        base = rows.filter(model=names["base"]).head(1)
        if tuned.is_empty() or base.is_empty():
            sentences.append(f"On {task} there is no result to judge.")
            continue
        row, before = tuned.row(0, named=True), base["ndcg_at_10"][0]
        moved = f"nDCG@10 {before:.3f} to {row['ndcg_at_10']:.3f}"
        sure = f"95 % interval of the difference {row['low']:+.3f} to {row['high']:+.3f}"
        size = f"{row['queries']:,} queries in {row['groups']:,} groups"
        if row["verdict"] == "not shown" and row["groups"] < 2:
            said = "cannot be judged against the base, as all queries are of one group"
            sentences.append(f"On {task} the tuned model {said}: {moved}, {size}.")
            continue
        said = {
            "better": "is better than the base",
            "worse": "is worse than the base",
            "not shown": "is not shown to differ from the base",
        }[row["verdict"]]
        sentences.append(f"On {task} the tuned model {said}: {moved} ({sure}; {size}).")
    return " ".join(sentences)
