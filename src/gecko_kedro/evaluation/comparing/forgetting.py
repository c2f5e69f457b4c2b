"""What tuning forgot, and a point between base and tuned that keeps it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go
import polars as pl

from gecko_kedro.base.errors import InputError, Words
from gecko_kedro.corpus.splits import stable_hash
from gecko_kedro.evaluation.comparing.bootstrap import resampled_difference
from gecko_kedro.evaluation.comparing.statistics import statistic_of
from gecko_kedro.evaluation.comparing.verdicts import metric_name
from gecko_kedro.evaluation.reporting.plots import empty_figure, plain_text
from gecko_kedro.evaluation.scoring.scoring_run import ScoreTable, Task

SWEEP_SCHEMA = pl.Schema(
    {
        "weight": pl.Float64,  # of the tuned model: 0 is the base, 1 the tuned model
        "task": pl.String,
        "kind": pl.String,  # target: what was trained for; general: what must not be forgotten
        "side": pl.String,  # choose: the queries the weight is chosen on; report: the others
        "metric": pl.String,
        "score": pl.Float64,  # on the queries of this side
        "difference": pl.Float64,  # to the base, with its interval
        "low": pl.Float64,
        "high": pl.Float64,
        "p": pl.Float64,
        "queries": pl.Int64,
        "groups": pl.Int64,
        "verdict": pl.String,
        "chosen": pl.Boolean,
    }
)
Side = Literal["choose", "report"]
_HASH_RANGE = 1 << 64


@dataclass(frozen=True)
class SweepPoint:
    """The weight of the tuned model, and the scores of that model at one dimension."""

    weight: float
    scores: ScoreTable


def sweep_table(
    points: Sequence[SweepPoint],
    groups: pl.DataFrame,
    targets: Sequence[str],
    *,
    fraction: float,
    resamples: int,
    seed: int,
) -> pl.DataFrame:
    """SWEEP_SCHEMA without a choice: each point against the base, on both sides of the queries.

    ``targets`` names the tasks that training aimed at; the others are general. Groups of queries
    (``task, query_id, group``; a query that it lacks is its own) are split by the hash of ``seed``
    and name: about ``fraction`` of them, whole, are there to choose on.
    """
    base = next((point.scores for point in points if point.weight == 0), None)
    if base is None:
        raise InputError(
            "guard.weights", expected="0, the base, among the weights",
            got=[point.weight for point in points], fix="Add 0.",
        )  # fmt: skip
    rows: list[dict[str, Any]] = []
    for point in points:
        metrics = {row["task"]: row for row in point.scores.scores.filter("main").to_dicts()}
        for task, side, pairs in _sides(point, base, groups, fraction=fraction, seed=seed):
            statistic = statistic_of(metrics[task]["type"])
            a, b, gold = (pairs[name].to_numpy() for name in ("a", "b", "gold"))
            interval = resampled_difference(
                a, b, pairs["group"].to_list(), resamples=resamples, seed=seed,
                statistic=statistic, gold=gold,
            ).interval()  # fmt: skip
            rows.append(
                {
                    "weight": point.weight, "task": task, "side": side,
                    "kind": "target" if task in targets else "general",
                    "metric": metrics[task]["metric"],
                    "score": float(statistic(a, gold, np.ones((1, a.size)))[0]),
                    "difference": interval.difference, "low": interval.low, "high": interval.high,
                    "p": interval.p, "queries": interval.queries, "groups": interval.groups,
                    "verdict": interval.verdict, "chosen": False,
                }
            )  # fmt: skip
    return pl.DataFrame(rows, schema=SWEEP_SCHEMA)


def choose_weight(table: pl.DataFrame) -> float:
    """The weight with the best mean target score of those without a loss on any general task.

    Only the side *choose* counts. A loss is an interval wholly below zero. The base never has one,
    so there always is a choice; of equal scores the smaller weight wins.
    """
    choose = table.filter(side="choose")
    lossy = choose.filter(kind="general", verdict="worse")["weight"].unique()
    targets = (
        choose.filter((pl.col("kind") == "target") & ~pl.col("weight").is_in(lossy.implode()))
        .group_by("weight")
        .agg(pl.col("score").mean())
        .sort("score", "weight", descending=[True, False])
    )
    if targets.is_empty():
        raise InputError(
            "guard", expected="scores of at least one target task", got=Words("no scores"),
            fix="Hold out part of the corpus, or give evaluate.data.",
        )  # fmt: skip
    return float(targets["weight"][0])


def mark_chosen(table: pl.DataFrame, weight: float) -> pl.DataFrame:
    """The table with ``chosen`` true in the rows of ``weight``."""
    return table.with_columns((pl.col("weight") == weight).alias("chosen"))


def sweep_of(record: Mapping[str, Any]) -> pl.DataFrame:
    """SWEEP_SCHEMA again out of ``{"rows": [...]}``; no rows where no sweep was made."""
    return pl.DataFrame(record.get("rows", []), schema=SWEEP_SCHEMA)


def query_side(group: str, *, fraction: float, seed: int) -> Side:
    """The side that all queries of ``group`` (a source document, a package) are on."""
    return "choose" if stable_hash(group, seed=seed) < fraction * _HASH_RANGE else "report"


def forgetting_curve(table: pl.DataFrame) -> go.Figure:
    """The difference to the base over the weight, a line for each task, on the side *report*."""
    figure = empty_figure(
        "Between base and tuned", "weight of the tuned model", "difference to the base"
    )
    shown = table.filter(side="report").sort("weight")
    for (task, kind), points in shown.group_by("task", "kind", maintain_order=True):
        name = f"{task} ({kind}), {metric_name(points['metric'][0])}"
        figure.add_scatter(
            x=points["weight"].to_list(), y=points["difference"].to_list(), name=plain_text(name),
            mode="lines+markers",
            line={"dash": "dot" if kind == "general" else "solid", "width": 2.5},
            error_y={
                "array": (points["high"] - points["difference"]).fill_nan(0).to_list(),
                "arrayminus": (points["difference"] - points["low"]).fill_nan(0).to_list(),
                "thickness": 1, "width": 3,
            },
            hovertemplate="%{x}: %{y:+.4f}",
        )  # fmt: skip
    for weight in table.filter("chosen")["weight"].unique().to_list():
        figure.add_vline(x=weight, line={"dash": "dash", "width": 1, "color": "#8b93a1"})
    return figure


def task_groups(tasks: Sequence[Task]) -> pl.DataFrame:
    """``task, query_id, group`` of the tasks that have groups of queries."""
    known = [task.groups() for task in tasks if hasattr(task, "groups")]
    schema = pl.Schema({"task": pl.String, "query_id": pl.String, "group": pl.String})
    return pl.concat([pl.DataFrame(schema=schema), *known])


def _sides(
    point: SweepPoint, base: ScoreTable, groups: pl.DataFrame, *, fraction: float, seed: int
) -> Iterator[tuple[str, Side, pl.DataFrame]]:
    """``task, side, (query_id, a, b, gold, group)`` of what point and base both have scores of."""
    keys = ["task", "query_id"]
    joined = (
        point.scores.per_query.select(*keys, pl.col("score").alias("a"), "gold")
        .join(base.per_query.select(*keys, pl.col("score").alias("b")), on=keys)
        .join(groups.select(*keys, "group"), on=keys, how="left")
        .with_columns(pl.coalesce("group", "query_id").alias("group"))
        .sort(keys)
    )
    side_of = {
        group: query_side(group, fraction=fraction, seed=seed)
        for group in joined["group"].unique().to_list()
    }
    sided = joined.with_columns(pl.col("group").replace_strict(side_of).alias("side"))
    for (task, side), pairs in sided.group_by("task", "side", maintain_order=True):
        yield str(task), side, pairs
