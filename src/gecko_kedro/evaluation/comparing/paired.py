"""Two models on the same queries: their scores side by side, and how sure the difference is."""

from collections.abc import Sequence

import polars as pl

from gecko_kedro.evaluation.comparing.bootstrap import Resampled, resampled_difference
from gecko_kedro.evaluation.comparing.statistics import statistic_of

INTERVAL_COLUMNS = {
    "difference": pl.Float64, "low": pl.Float64, "high": pl.Float64, "p": pl.Float64,
    "queries": pl.Int64, "groups": pl.Int64, "verdict": pl.String,
}  # fmt: skip


def paired(
    ours: pl.DataFrame,
    theirs: pl.DataFrame,
    groups: pl.DataFrame,
    *,
    on: Sequence[str] = ("task", "query_id"),
) -> pl.DataFrame:
    """``*on, a, gold, b, group`` of the queries that both have, sorted by ``on``.

    ``ours`` and ``theirs`` have ``on`` and ``score``, ours ``gold`` too (PER_QUERY_SCHEMA).
    ``groups``: ``task, query_id, group``; a query that it lacks is a group of its own.
    """
    return (
        ours.select(*on, pl.col("score").alias("a"), "gold")
        .join(theirs.select(*on, pl.col("score").alias("b")), on=on)
        .join(groups.select("task", "query_id", "group"), on=["task", "query_id"], how="left")
        .with_columns(pl.coalesce("group", "query_id").alias("group"))
        .sort(on)
    )


def resampled(pairs: pl.DataFrame, task_type: str, *, resamples: int, seed: int) -> Resampled:
    """The difference of a table of ``paired``, by the statistic of that type of task."""
    return resampled_difference(
        pairs["a"].to_numpy(), pairs["b"].to_numpy(), pairs["group"].to_list(),
        resamples=resamples, seed=seed, statistic=statistic_of(task_type),
        gold=pairs["gold"].to_numpy(),
    )  # fmt: skip
