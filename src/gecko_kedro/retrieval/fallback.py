"""The search in NumPy: the same results, bit for bit, as the extension.

Exactness rests on two steps. A float32 matrix product is a *filter*: its error is at most
``margin``, so a passage whose float32 score lies further than that below the k-th best can be
dropped. The survivors are rescored in float64, in one fixed order of summation, and rounded once.
"""

from collections.abc import Callable
from dataclasses import dataclass
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
_SMALLEST_NORMAL = 2.0**-126


def sum_in_lanes(left: Any, right: Any, lanes: Any) -> Any:
    """Inner products of the rows of two (m, d) matrices of float64 -> (m,): what a score rounds.

    Component i goes to lane i % 32; a lane adds its products (exact for float32 factors) in
    ascending order; lanes are then added by halves. So vector registers of any width, with or
    without fused multiply-add, give the same bits. csrc/kernels.h states the same.
    lanes: (m, 32) zeros; arrays of NumPy or tensors of torch.
    """
    for start in range(0, left.shape[1], LANES):
        products = left[:, start : start + LANES] * right[:, start : start + LANES]
        lanes[:, : products.shape[1]] += products
    while lanes.shape[1] > 1:
        half = lanes.shape[1] // 2
        lanes = lanes[:, :half] + lanes[:, half:]
    return lanes[:, 0]


def score_pairs(queries: NDArray[Any], passages: NDArray[Any], ids: Ids) -> NDArray[np.float32]:
    """See ``Index.score_pairs``; arguments are checked there."""
    scores = np.full(ids.shape, -np.inf, dtype=np.float32)
    rows, columns = np.nonzero(ids >= 0)
    scores[rows, columns] = _rescore(queries, passages, rows, ids[rows, columns])
    return scores


def margin(dimension: int, query_norms: Any, largest_norm: Any) -> Any:
    """Bound on the error of float32 inner products with passages of at most ``largest_norm``.

    |fl(q.p) - q.p| <= g |q| |p| with g = d u / (1 - d u), u = 2**-24, whatever the order of
    summation (Higham, Accuracy and Stability, eq. 3.5); 16 more roundings pay for thresholds and
    for the rounding of scores, and the last term for what underflows. Norms are float64.
    """
    roundings = (dimension + 16) * 2.0**-24
    relative = roundings / (1 - roundings) if roundings < 0.5 else float("inf")
    return relative * query_norms * largest_norm + 64 * _SMALLEST_NORMAL * (dimension + 1)


@dataclass(frozen=True)
class Search:
    """``_core.Search``, with the same arguments, checked by ``Index``; the last four are unused."""

    queries: NDArray[Any]
    query_norms: NDArray[np.float32]
    passages: NDArray[Any]
    passage_norms: NDArray[np.float32]
    k: int
    exclude_offsets: NDArray[np.int64]
    exclude_ids: NDArray[np.int64]
    level: str
    first_pass: str
    packed: None
    certified: bool

    def run(
        self, threads: int, progress: Callable[[float], None] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Scores and ids (q, k). Threads are those of NumPy."""
        queries, passages = self.queries, self.passages
        scores = np.full((len(queries), self.k), -np.inf, dtype=np.float32)
        ids = np.full((len(queries), self.k), -1, dtype=np.int64)
        excluded = Exclusions(self.exclude_offsets, self.exclude_ids)
        for first in range(0, len(queries) if self.k else 0, _QUERIES_AT_ONCE):
            here = slice(first, first + _QUERIES_AT_ONCE)
            rows = block(queries, here.start, here.stop)
            norms = self.query_norms[here, None].astype(np.float64)
            for start in range(0, len(passages), _PASSAGES_AT_ONCE):
                stop = start + _PASSAGES_AT_ONCE
                candidates = block(passages, start, stop)
                approximate = rows @ candidates.T  # (q, d) @ (d, n) -> (q, n)
                approximate[excluded.within(first, start, approximate.shape)] = -np.inf
                error = margin(rows.shape[1], norms, float(self.passage_norms[start:stop].max()))
                survivors = approximate >= _threshold(approximate, scores[here], error)
                owners, columns = np.nonzero(survivors & (approximate > -np.inf))
                found = _rescore(rows, candidates, owners, columns)
                _merge(scores[here], ids[here], found, owners=owners, numbers=columns + start)
                if progress is not None:
                    done = first * len(passages) + len(rows) * (start + len(candidates))
                    progress(done / (len(queries) * len(passages)))
        return scores, ids


def _threshold(
    approximate: NDArray[np.float32], best: NDArray[np.float32], error: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The lowest approximate score with which a passage of this block can still be among the best.

    The k-th best so far is exact; the k-th best of this block is known up to ``error``.
    """
    k = best.shape[1]
    lower = best[:, -1:].astype(np.float64)
    if approximate.shape[1] >= k:
        kth = np.partition(approximate, -k, axis=1)[:, -k, None].astype(np.float64)
        lower = np.maximum(lower, kth - error)
    return lower - error


def _rescore(
    queries: NDArray[Any], passages: NDArray[Any], rows: Ids, columns: Ids
) -> NDArray[np.float32]:
    """Exact scores of the pairs (``rows`` of queries, ``columns`` of passages)."""
    scores = np.empty(len(rows), dtype=np.float32)
    for at in range(0, len(rows), _PAIRS_AT_ONCE):
        part = slice(at, at + _PAIRS_AT_ONCE)
        pairs = (queries[rows[part]], passages[columns[part]])
        left, right = (widen(side).astype(np.float64) for side in pairs)
        exact = sum_in_lanes(left, right, np.zeros((len(left), LANES)))
        scores[part] = exact.astype(np.float32) + np.float32(0)  # + 0 turns -0 to 0
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
    kept = np.arange(len(owner)) - np.searchsorted(owner, owner, side="left") < k
    scores[:] = score[kept].reshape(n_queries, k)
    ids[:] = number[kept].reshape(n_queries, k)
