"""How sure a difference between two models is: the paired bootstrap over groups of queries."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from gecko_kedro.errors import InputError

Verdict = Literal["better", "worse", "not shown"]
_BLOCK = 2_000_000  # numbers drawn at a time: 16 MB an array, whatever the count of resamples


@dataclass(frozen=True)
class Interval:
    """Mean of ``a - b``, its 95 % interval and two-sided p; NaN bounds for a single group."""

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


def paired_bootstrap(
    a: Sequence[float] | npt.NDArray[np.float64],
    b: Sequence[float] | npt.NDArray[np.float64],
    groups: Sequence[str],
    *,
    resamples: int,
    seed: int,
) -> Interval:
    """Interval of ``mean(a) - mean(b)`` where row i of both is the same query.

    Whole groups are drawn with replacement (Efron and Tibshirani 1993, section 8), as queries on
    one source document or package are not independent. A resample's value is the mean over the
    queries it drew. The interval is the percentile one. p counts resamples on the other side of
    zero, twice, with one added so that it is never 0 (Davison and Hinkley 1997, section 4.2).
    With fewer than some twenty groups the interval is rather too narrow; with one it is NaN.
    """
    differences = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)  # (q,)
    if len(groups) != differences.size or not differences.size or resamples < 1:
        raise InputError(
            "paired bootstrap", expected="at least one query, a group for each, and one resample",
            got={"queries": differences.size, "groups": len(groups), "resamples": resamples},
            fix="Give both models' scores on the same queries.",
        )  # fmt: skip
    _, group_of_query = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
    sums = np.bincount(group_of_query, weights=differences).astype(np.float64)  # (g,)
    sizes = np.bincount(group_of_query).astype(np.float64)  # (g,)
    low = high = p = float("nan")
    if sums.size > 1:
        means = _resampled_means(sums, sizes, resamples=resamples, seed=seed)
        low, high = (float(bound) for bound in np.quantile(means, [0.025, 0.975]))
        beyond = min(int((means <= 0).sum()), int((means >= 0).sum()))
        p = min(1.0, 2 * (beyond + 1) / (resamples + 1))
    return Interval(float(differences.mean()), low, high, p, differences.size, sums.size)


def _resampled_means(
    sums: npt.NDArray[np.float64], sizes: npt.NDArray[np.float64], *, resamples: int, seed: int
) -> npt.NDArray[np.float64]:
    """``(resamples,)`` means over queries; drawn in blocks so that memory stays bounded."""
    rng = np.random.default_rng(seed)
    rows = max(1, _BLOCK // sums.size)
    means = np.empty(resamples)
    for start in range(0, resamples, rows):
        count = min(rows, resamples - start)
        drawn = rng.integers(sums.size, size=(count, sums.size))  # (count, g)
        means[start : start + count] = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    return means
