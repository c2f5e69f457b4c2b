"""Putting candidates in order, and fusing the candidates of several routes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gecko_kedro.base.errors import InputError
from gecko_kedro.retrieval.result import SearchResult


def rank(scores: NDArray[np.float32], ids: NDArray[np.int64], k: int) -> SearchResult:
    """The best ``k`` of each row of candidates (q, m), by score and then id; ids of -1 go last."""
    masked = np.where(ids >= 0, scores, -np.inf).astype(np.float32)
    order = np.lexsort((ids, -masked, ids < 0), axis=1)[:, :k]
    shape = (len(ids), k)
    best = SearchResult(np.full(shape, -np.inf, dtype=np.float32), np.full(shape, -1, np.int64))
    best.scores[:, : order.shape[1]] = np.take_along_axis(masked, order, axis=1)
    best.ids[:, : order.shape[1]] = np.take_along_axis(ids, order, axis=1)
    return best


def fuse_results(
    results: Sequence[SearchResult],
    k: int,
    *,
    constant: float,
    weights: Sequence[float] | None = None,
) -> SearchResult:
    """Reciprocal rank fusion: score = sum over routes of weight / (constant + rank), rank from 1.

    Cormack, Clarke and Buettcher 2009 (constant 60). A passage that a route did not find gets
    nothing from it. Equal sums go by id.
    Raises InputError where the results have different numbers of queries.
    """
    weights = [1.0] * len(results) if weights is None else list(weights)
    if len({len(result.ids) for result in results}) != 1 or len(weights) != len(results):
        raise InputError(
            "retrieval.fuse_results",
            expected="results of the same queries, and one weight for each",
            got=([result.ids.shape for result in results], weights),
            fix="Search every route with the same queries.",
        )
    ids = np.concatenate([result.ids for result in results], axis=1)
    shares = np.concatenate(
        [
            np.broadcast_to(weight / (constant + 1 + np.arange(r.ids.shape[1])), r.ids.shape)
            for r, weight in zip(results, weights, strict=True)
        ],
        axis=1,
    )
    order = np.argsort(ids, axis=1, kind="stable")
    ids, shares = np.take_along_axis(ids, order, 1), np.take_along_axis(shares, order, 1)
    fused, kept = np.zeros(ids.shape), np.full(ids.shape, -1)
    for row in range(len(ids)):
        unique, first = np.unique(ids[row], return_index=True)
        fused[row, : len(unique)] = np.add.reduceat(shares[row], first) if len(first) else 0
        kept[row, : len(unique)] = unique
    return rank(fused.astype(np.float32), kept, k)
