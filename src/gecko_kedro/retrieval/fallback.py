"""The search in NumPy: the same results, bit for bit, as the extension.

Exactness rests on two steps. A float32 matrix product is a *filter*: its error is at most
``slack(d) |q| |p|``, so a passage whose float32 score lies further than that below the k-th best
can be dropped. The survivors are rescored in float64, in one fixed order of summation, and rounded
once.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gecko_kedro.retrieval.exclusions import Exclusions
from gecko_kedro.retrieval.vectors import block, widen

Ids = NDArray[np.integer[Any]]
LANES = 32
_QUERIES_AT_ONCE = 256
_PASSAGES_AT_ONCE = 8192
_PAIRS_AT_ONCE = 8192
SMALLEST_NORMAL = 2.0**-126


def exact_scores(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
    """Inner products of the rows of two (m, d) matrices -> (m,): the definition of a score.

    Component i goes to lane i % 32; a lane adds its float64 products (exact for float32 factors)
    in ascending order; lanes are then added by halves. So vector registers of any width, with or
    without fused multiply-add, give the same bits. csrc/kernels.h states the same.
    """
    rows, dimension = left.shape
    lanes = np.zeros((rows, LANES))
    for start in range(0, dimension, LANES):
        stop = min(start + LANES, dimension)
        lanes[:, : stop - start] += left[:, start:stop].astype(np.float64) * right[:, start:stop]
    while lanes.shape[1] > 1:
        half = lanes.shape[1] // 2
        lanes = lanes[:, :half] + lanes[:, half:]
    return lanes[:, 0].astype(np.float32) + np.float32(0)  # + 0 turns -0 to 0


def score_pairs(queries: NDArray[Any], passages: NDArray[Any], ids: Ids) -> NDArray[np.float32]:
    """See ``Index.score_pairs``; arguments are checked there."""
    scores = np.full(ids.shape, -np.inf, dtype=np.float32)
    rows, columns = np.nonzero(ids >= 0)
    for at in range(0, len(rows), _PAIRS_AT_ONCE):
        row, column = rows[at : at + _PAIRS_AT_ONCE], columns[at : at + _PAIRS_AT_ONCE]
        left, right = widen(queries[row]), widen(passages[ids[row, column]])
        scores[row, column] = exact_scores(left, right)
    return scores


def slack(dimension: int) -> float:
    """Bound on the relative error of a float32 inner product, whatever the order of summation.

    |fl(q.p) - q.p| <= g |q| |p| with g = d u / (1 - d u), u = 2**-24 (Higham, Accuracy and
    Stability, eq. 3.5); 16 more roundings pay for thresholds and for the rounding of scores.
    """
    roundings = (dimension + 16) * 2.0**-24
    return roundings / (1 - roundings) if roundings < 0.5 else float("inf")


def search(
    queries: NDArray[Any],
    passages: NDArray[Any],
    *,
    query_norms: NDArray[np.float32],
    passage_norms: NDArray[np.float32],
    k: int,
    exclude: Exclusions,
    poll: Callable[[float], None] | None,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """See ``Index.search``; arguments are checked there."""
    scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
    ids = np.full((len(queries), k), -1, dtype=np.int64)
    if k == 0 or len(passages) == 0:
        return scores, ids
    for first in range(0, len(queries), _QUERIES_AT_ONCE):
        here = slice(first, first + _QUERIES_AT_ONCE)
        rows = block(queries, first, first + _QUERIES_AT_ONCE)
        for start in range(0, len(passages), _PASSAGES_AT_ONCE):
            there = slice(start, start + _PASSAGES_AT_ONCE)
            candidates = block(passages, start, start + _PASSAGES_AT_ONCE)
            approximate = rows @ candidates.T  # (q, d) @ (d, n) -> (q, n)
            _exclude(approximate, exclude, first, start)
            margin = slack(rows.shape[1]) * query_norms[here, None].astype(np.float64)
            margin = margin * float(passage_norms[there].max()) + 64 * SMALLEST_NORMAL * (
                rows.shape[1] + 1
            )
            survivors = approximate >= _threshold(approximate, scores[here], margin)
            survivors &= approximate > -np.inf
            pairs = np.nonzero(survivors)
            rescored = _rescore(rows, candidates, *pairs)
            _merge(scores[here], ids[here], rescored, owners=pairs[0], numbers=pairs[1] + start)
            done = (first * len(passages) + len(rows) * (start + len(candidates))) / (
                len(queries) * len(passages)
            )
            if poll is not None:
                poll(done)
    return scores, ids


def _exclude(approximate: NDArray[np.float32], exclude: Exclusions, first: int, start: int) -> None:
    rows, columns = approximate.shape
    offsets = exclude.offsets[first : first + rows + 1]
    ids = exclude.ids[offsets[0] : offsets[-1]] - start
    owners = np.repeat(np.arange(rows), np.diff(offsets))
    inside = (ids >= 0) & (ids < columns)
    approximate[owners[inside], ids[inside]] = -np.inf


def _threshold(
    approximate: NDArray[np.float32], best: NDArray[np.float32], margin: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The lowest approximate score with which a passage of this block can still be among the best.

    The k-th best so far is exact; the k-th best of this block is known up to ``margin``.
    """
    k = best.shape[1]
    lower = best[:, -1:].astype(np.float64)
    if approximate.shape[1] >= k:
        kth = np.partition(approximate, -k, axis=1)[:, -k, None].astype(np.float64)
        lower = np.maximum(lower, kth - margin)
    threshold: NDArray[np.float64] = lower - margin
    return threshold


def _rescore(
    queries: NDArray[np.float32], passages: NDArray[np.float32], rows: Ids, columns: Ids
) -> NDArray[np.float32]:
    """Exact scores of the pairs (``rows`` of queries, ``columns`` of passages)."""
    scores = np.empty(len(rows), dtype=np.float32)
    for at in range(0, len(rows), _PAIRS_AT_ONCE):
        part = slice(at, at + _PAIRS_AT_ONCE)
        scores[part] = exact_scores(queries[rows[part]], passages[columns[part]])
    return scores


def _merge(
    scores: NDArray[np.float32],
    ids: NDArray[np.int64],
    found: NDArray[np.float32],
    *,
    owners: Ids,
    numbers: Ids,
) -> None:
    """Keep the best k of ``scores``, ``ids`` (q, k) and of what was ``found``, in place."""
    n_queries, k = scores.shape
    owner = np.concatenate([np.repeat(np.arange(n_queries), k), owners])
    score = np.concatenate([scores.ravel(), found])
    number = np.concatenate([ids.ravel(), numbers])
    order = np.lexsort((number, -score, owner))  # old padding has -inf: it stays last
    owner, score, number = owner[order], score[order], number[order]
    rank = np.arange(len(owner)) - np.searchsorted(owner, owner, side="left")
    kept = rank < k
    scores[:] = score[kept].reshape(n_queries, k)
    ids[:] = number[kept].reshape(n_queries, k)
