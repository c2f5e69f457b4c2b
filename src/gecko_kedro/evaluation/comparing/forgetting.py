"""What tuning forgot, and a point between base and tuned that keeps it."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import polars as pl

from gecko_kedro.base.errors import InputError, Words
from gecko_kedro.corpus.splits import stable_hash
from gecko_kedro.evaluation.comparing.bootstrap import INTERVAL_COLUMNS, paired, resampled
from gecko_kedro.evaluation.comparing.settings import SweepSettings
from gecko_kedro.evaluation.comparing.statistics import statistic_of
from gecko_kedro.evaluation.scoring.score_table import ScoreTable

SWEEP_SCHEMA = pl.Schema(
    {
        "weight": pl.Float64,  # of the tuned model: 0 is the base, 1 the tuned model
        "task": pl.String,
        "kind": pl.String,  # target: what was trained for; general: what must not be forgotten
        "side": pl.String,  # choose: the queries the weight is chosen on; report: the others
        "metric": pl.String,
        "score": pl.Float64,  # on the queries of this side
        **INTERVAL_COLUMNS,  # of the difference to the base
        "chosen": pl.Boolean,
    }
)
Side = Literal["choose", "report"]
_HASH_RANGE = 1 << 64


def sweep_table(
    points: Mapping[float, ScoreTable],
    groups: pl.DataFrame,
    targets: Sequence[str],
    settings: SweepSettings = SweepSettings(),
) -> pl.DataFrame:
    """SWEEP_SCHEMA without a choice: each point against the base, on both sides of the queries.

    ``points``: the scores at one dimension by the weight of the tuned model. ``targets`` names the
    tasks that training aimed at; the others are general. Groups of queries (``task, query_id,
    group``; a query that it lacks is its own) are split by the hash of ``seed`` and name: about
    ``choose_fraction`` of them, whole, are there to choose on.
    """
    if 0 not in points:
        expected = "0, the base, among the weights"
        raise InputError("guard.sweep.weights", expected=expected, got=list(points), fix="Add 0.")
    rows: list[dict[str, Any]] = []
    how = settings.model_dump(include={"resamples", "seed"})
    for weight, point in points.items():
        tasks = {row["task"]: row for row in point.scores.filter("main").to_dicts()}
        pairs = paired(point.per_query, points[0].per_query, groups)
        fraction, seed = settings.choose_fraction, settings.seed
        sides = [query_side(group, fraction=fraction, seed=seed) for group in pairs["group"]]
        sided = pairs.with_columns(pl.Series("side", sides, pl.String))
        for (task, side), part in sided.group_by("task", "side", maintain_order=True):
            of_task = tasks[str(task)]
            interval = resampled(part, of_task["type"], **how).interval()
            a, gold = part["a"].to_numpy(), part["gold"].to_numpy()
            score = statistic_of(of_task["type"])(a, gold, np.ones((1, a.size)))
            rows.append(
                {
                    "weight": weight, "task": task, "side": side, "metric": of_task["metric"],
                    "kind": "target" if task in targets else "general", "score": float(score[0]),
                    "chosen": False, **interval.columns(),
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


def query_side(group: str, *, fraction: float, seed: int) -> Side:
    """The side that all queries of ``group`` (a source document, a package) are on."""
    return "choose" if stable_hash(group, seed=seed) < fraction * _HASH_RANGE else "report"
