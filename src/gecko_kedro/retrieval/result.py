"""What every route's search gives, how it is put in order, and how a search is watched."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gecko_kedro.base.errors import InputError

ReportProgress = Callable[[float], bool | None]


@dataclass(frozen=True)
class SearchResult:
    """The best ``k`` passages of each query, best first; padded with -inf and -1.

    scores: (q, k) float32; ids: (q, k) int64, row numbers of the index. recall: share of the exact
    best that the route finds: 1 for an exact one, measured on a sample by an approximate one, None
    where it was not measured.
    """

    scores: NDArray[np.float32]
    ids: NDArray[np.int64]
    recall: float | None = None


class SearchCancelled(RuntimeError):
    """The progress callback of a search returned False."""


def cancellable(progress: ReportProgress | None) -> Callable[[float], None] | None:
    """``progress`` as a function that raises SearchCancelled instead of returning False."""
    if progress is None:
        return None

    def poll(share: float) -> None:
        if progress(share) is False:
            raise SearchCancelled(f"cancelled by the progress callback at {share:.0%}")

    return poll


def check_k(k: int, where: str, threads: int | None = None) -> None:
    """Raise InputError for fewer than 0 passages or 1 thread; None are as many as there are."""
    if k < 0 or (threads is not None and threads < 1):
        raise InputError(
            where,
            expected="k of at least 0 and threads of at least 1",
            got={"k": k, "threads": threads},
            fix="Ask for 0 or more passages on 1 or more threads.",
        )


def rank(scores: NDArray[np.float32], ids: NDArray[np.int64], k: int) -> SearchResult:
    """The best ``k`` of each row of candidates (q, m), by score and then id; ids of -1 go last."""
    masked = np.where(ids >= 0, scores, -np.inf).astype(np.float32)
    order = np.lexsort((ids, -masked, ids < 0), axis=1)[:, :k]
    shape = (len(ids), k)
    best = SearchResult(np.full(shape, -np.inf, dtype=np.float32), np.full(shape, -1, np.int64))
    best.scores[:, : order.shape[1]] = np.take_along_axis(masked, order, axis=1)
    best.ids[:, : order.shape[1]] = np.take_along_axis(ids, order, axis=1)
    return best


def merge_results(parts: Sequence[SearchResult], k: int) -> SearchResult:
    """The best ``k`` of each query among the ``parts``, each of which has the best of a slice.

    The slices share no passage, and ids (q, m) are those of the whole corpus. Where each part has
    the best ``k`` of its slice, this is what a search of the whole corpus gives, bit for bit. The
    order of the parts, and merging some of them before, change nothing.
    """
    scores = np.concatenate([part.scores for part in parts], axis=1)
    best = rank(scores, np.concatenate([part.ids for part in parts], axis=1), k)
    recalls = [part.recall for part in parts if part.recall is not None]
    recall = min(recalls) if len(recalls) == len(parts) else None
    return SearchResult(best.scores, best.ids, recall)


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
            weight / (constant + 1 + np.arange(result.ids.shape[1]))
            for result, weight in zip(results, weights, strict=True)
        ]
    )
    fused, kept = np.zeros(ids.shape), np.full(ids.shape, -1)
    for row, found in enumerate(ids):
        unique, place = np.unique(found, return_inverse=True)
        fused[row, : len(unique)] = np.bincount(place, shares, len(unique))
        kept[row, : len(unique)] = unique
    return rank(fused.astype(np.float32), kept, k)
