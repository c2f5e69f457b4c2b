"""How sure a difference between two models is: the paired bootstrap over groups of queries."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from gecko_kedro.base.errors import InputError
from gecko_kedro.evaluation.comparing.statistics import (
    Floats,
    Statistic,
    statistic_of,
    weighted_mean,
)

Scores: TypeAlias = Sequence[float] | Floats  # of single queries
Verdict = Literal["better", "worse", "not shown"]
INTERVAL_COLUMNS = {
    "difference": pl.Float64, "low": pl.Float64, "high": pl.Float64, "p": pl.Float64,
    "queries": pl.Int64, "groups": pl.Int64, "verdict": pl.String,
}  # fmt: skip
_BLOCK = 2_000_000  # numbers drawn at a time: 16 MB an array, whatever the count of resamples


@dataclass(frozen=True)
class Interval:
    """Score of ``a`` minus that of ``b``, its 95 % interval and two-sided p; NaN for one group."""

    difference: float
    low: float
    high: float
    p: float
    queries: int
    groups: int

    @property
    def verdict(self) -> Verdict:
        """``better`` or ``worse`` only where the whole interval lies on one side of zero."""
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "not shown"

    def columns(self) -> dict[str, Any]:
        """The numbers and the verdict by the name of their column."""
        return asdict(self) | {"verdict": self.verdict}


@dataclass(frozen=True)
class Resampled:
    """The difference on the data and on each resample; no resamples for a single group."""

    difference: float
    resamples: Floats
    queries: int
    groups: int

    def interval(self) -> Interval:
        """The percentile interval, and p.

        p counts resamples on the other side of zero, twice, with one added so that it is never 0
        (Davison and Hinkley 1997, section 4.2).
        """
        low = high = p = float("nan")
        if self.resamples.size:
            low, high = (float(bound) for bound in np.quantile(self.resamples, [0.025, 0.975]))
            beyond = min(int((self.resamples <= 0).sum()), int((self.resamples >= 0).sum()))
            p = min(1.0, 2 * (beyond + 1) / (self.resamples.size + 1))
        return Interval(self.difference, low, high, p, self.queries, self.groups)


def paired_bootstrap(a: Scores, b: Scores, groups: Sequence[str], **how: Any) -> Interval:
    """Interval of ``statistic(a) - statistic(b)``; see ``resampled_difference``."""
    return resampled_difference(a, b, groups, **how).interval()


def resampled_difference(
    a: Scores,
    b: Scores,
    groups: Sequence[str],
    *,
    resamples: int,
    seed: int,
    statistic: Statistic = weighted_mean,
    gold: Scores | None = None,
) -> Resampled:
    """``statistic(a) - statistic(b)`` where row i of both is the same query, and its resamples.

    Whole groups are drawn with replacement (Efron and Tibshirani 1993, section 8), as queries on
    one source document or package are not independent. A resample's value is the statistic of the
    queries it drew, by default their mean. With fewer than some twenty groups the interval is
    rather too narrow; with one there is none.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)  # (q,)
    if first.shape != second.shape or len(groups) != first.size or not first.size or resamples < 1:
        raise InputError(
            "paired bootstrap", expected="at least one query, a group for each, and one resample",
            got={"queries": first.size, "groups": len(groups), "resamples": resamples},
            fix="Give both models' scores on the same queries.",
        )  # fmt: skip
    _, group_of_query = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
    count = int(group_of_query.max()) + 1
    truth = None if gold is None else np.asarray(gold, dtype=np.float64)
    once = np.ones((1, first.size))
    whole = float((statistic(first, truth, once) - statistic(second, truth, once))[0])
    if count == 1:
        return Resampled(whole, np.empty(0), first.size, count)
    if statistic is weighted_mean:
        drawn = _resampled_means(first - second, group_of_query, resamples, seed)
    else:
        both = (first, second)
        drawn = _resampled(both, truth, group_of_query, statistic, resamples=resamples, seed=seed)
    return Resampled(whole, drawn, first.size, count)


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


def mean_of(parts: Sequence[Resampled]) -> Resampled:
    """The mean difference over tasks, each of them resampled on its own.

    Tasks count alike, however many queries they have. A task with a single group has no interval,
    and then the mean has none.
    """
    whole = float(np.mean([part.difference for part in parts]))
    every = all(part.resamples.size for part in parts)
    drawn = np.mean([part.resamples for part in parts], axis=0) if every else np.empty(0)
    return Resampled(
        whole, drawn, sum(part.queries for part in parts), sum(part.groups for part in parts)
    )


def _resampled_means(
    differences: Floats, group_of_query: npt.NDArray[np.int64], resamples: int, seed: int
) -> Floats:
    """``(resamples,)`` means over queries; the sums of the groups do, whatever their sizes."""
    sums = np.bincount(group_of_query, weights=differences)  # (g,)
    sizes = np.bincount(group_of_query).astype(np.float64)  # (g,)
    means = np.empty(resamples)
    for rows, drawn in _draws(sums.size, sums.size, resamples, seed):
        means[rows] = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    return means


def _resampled(
    both: tuple[Floats, Floats],
    gold: Floats | None,
    group_of_query: npt.NDArray[np.int64],
    statistic: Statistic,
    *,
    resamples: int,
    seed: int,
) -> Floats:
    """``(resamples,)`` differences of any statistic, each query weighted by its group's draws."""
    count, width = int(group_of_query.max()) + 1, group_of_query.size
    values = np.empty(resamples)
    for rows, drawn in _draws(count, width, resamples, seed):
        height = len(drawn)
        flat = (drawn + count * np.arange(height)[:, None]).ravel()
        times = np.bincount(flat, minlength=height * count).reshape(height, count)
        weights = times[:, group_of_query].astype(np.float64)  # (r, q)
        a, b = (statistic(side, gold, weights) for side in both)
        values[rows] = a - b
    return values


def _draws(
    count: int, width: int, resamples: int, seed: int
) -> Iterator[tuple[slice, npt.NDArray[np.int64]]]:
    """Groups drawn with replacement, ``(rows, count)`` at a time so that memory stays bounded.

    ``width``: how many numbers the caller makes of each row.
    """
    rng = np.random.default_rng(seed)
    rows = max(1, _BLOCK // max(count, width))
    for start in range(0, resamples, rows):
        height = min(rows, resamples - start)
        yield slice(start, start + height), rng.integers(count, size=(height, count))
