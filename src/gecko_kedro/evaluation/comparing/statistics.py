"""Statistics of weighted items, for many weightings at once, as a bootstrap wants them."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
# (items,) values, (items,) gold, (resamples, items) weights -> (resamples,)
Statistic = Callable[[Floats, Floats | None, Floats], Floats]


def weighted_mean(values: Floats, gold: Floats | None, weights: Floats) -> Floats:
    """The mean of ``values`` where item i stands ``weights[:, i]`` times."""
    means: Floats = weights @ values / weights.sum(axis=1)
    return means


def weighted_spearman(values: Floats, gold: Floats | None, weights: Floats) -> Floats:
    """Spearman's correlation of ``values`` and ``gold``: Pearson's of their mean ranks.

    Equal to ``scipy.stats.spearmanr`` on items repeated ``weights`` times; 0 where one side is
    constant.
    """
    assert gold is not None
    a, b = _ranks(values, weights), _ranks(gold, weights)
    total = weights.sum(axis=1)
    a -= ((a * weights).sum(axis=1) / total)[:, None]
    b -= ((b * weights).sum(axis=1) / total)[:, None]
    spread = np.sqrt((weights * a * a).sum(axis=1) * (weights * b * b).sum(axis=1))
    together: Floats = (weights * a * b).sum(axis=1)
    found: Floats = np.divide(together, spread, out=np.zeros_like(together), where=spread > 0)
    return found


def weighted_average_precision(values: Floats, gold: Floats | None, weights: Floats) -> Floats:
    """Average precision of ranking by ``values``, highest first, for ``gold`` 0 or 1.

    Equal to ``sklearn.metrics.average_precision_score`` on items repeated ``weights`` times (items
    of equal value share one step); 0 where no item with gold 1 was drawn.
    """
    assert gold is not None
    order = np.argsort(-values, kind="stable")
    ends = _ends_of_ties(values[order])
    drawn = weights[:, order]
    found = np.cumsum(drawn * gold[order], axis=1)[:, ends]
    seen = np.cumsum(drawn, axis=1)[:, ends]
    precision = np.divide(found, seen, out=np.zeros_like(found), where=seen > 0)
    steps = np.diff(found, axis=1, prepend=0.0)
    positives = found[:, -1]
    area: Floats = (steps * precision).sum(axis=1)
    return np.divide(area, positives, out=np.zeros_like(area), where=positives > 0)


def statistic_of(task_type: str) -> Statistic:
    """How the main score of a type of task comes about from its items."""
    special: dict[str, Statistic] = {
        "STS": weighted_spearman,
        "PairClassification": weighted_average_precision,
    }
    return special.get(task_type, weighted_mean)


def _ranks(values: Floats, weights: Floats) -> Floats:
    """(resamples, items) mean ranks, ties sharing theirs, of items that stand ``weights`` times."""
    order = np.argsort(values, kind="stable")
    ends = _ends_of_ties(values[order])
    upper = np.cumsum(weights[:, order], axis=1)[:, ends]
    lower = np.concatenate([np.zeros((len(weights), 1)), upper[:, :-1]], axis=1)
    tie_of_item = np.empty(len(values), dtype=np.int64)
    tie_of_item[order] = np.searchsorted(ends, np.arange(len(values)))
    return ((lower + upper + 1) / 2)[:, tie_of_item]


def _ends_of_ties(ordered: Floats) -> npt.NDArray[np.int64]:
    """The last place of each run of equal values."""
    return np.append(np.flatnonzero(np.diff(ordered) != 0), len(ordered) - 1)
