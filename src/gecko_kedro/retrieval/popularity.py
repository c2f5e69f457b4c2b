"""How near each passage is to queries in general, and the likelihood of a query given a passage."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from gecko_kedro.base.errors import InputError
from gecko_kedro.retrieval.result import SearchResult

_ROWS = 2048  # of a block of passages, and of one of queries: 16 MB of scores at once
Blocks = Callable[[int], Iterator[NDArray[np.float32]]]


def popularity(queries: Blocks, passages: Blocks, *, temperature: float) -> NDArray[np.float32]:
    r"""(n,) of each passage: temperature times the log of the mean over the queries of exp(s / t).

    .. math:: h(p) = \tau \log \frac{1}{m} \sum_{j=1}^{m} e^{s(q_j, p) / \tau}

    with s the inner product. A ranking by s - h is one by the query's likelihood under the passage,
    among the queries that are asked (docs/mining.md). Source: inverted softmax, Smith et al. 2017
    (arXiv 1702.03859); as a bank of queries, Bogolin et al. 2022 (arXiv 2112.12777).

    ``queries(rows)`` and ``passages(rows)`` give all vectors in blocks of at most so many,
    (rows, d), from the first one again at each call. One block of each and their inner products are
    in memory. Raises InputError without queries.
    """
    found = [_of_block(block, queries(_ROWS), temperature) for block in passages(_ROWS)]
    return np.concatenate(found) if found else np.empty(0, np.float32)


def _of_block(
    passages: NDArray[np.float32], queries: Iterator[NDArray[np.float32]], temperature: float
) -> NDArray[np.float32]:
    largest = np.full(len(passages), -np.inf)
    total = np.zeros(len(passages))  # of exp((s - largest) / temperature)
    asked = 0
    for block in queries:
        scores = passages @ block.T  # (n, d) @ (d, q) -> (n, q)
        now = np.maximum(largest, scores.max(axis=1))
        scores -= now[:, None].astype(np.float32)
        scores /= np.float32(temperature)
        np.exp(scores, out=scores)
        total *= np.exp((largest - now) / temperature)
        total += scores.sum(axis=1, dtype=np.float64)
        largest, asked = now, asked + len(block)
    if asked == 0:
        raise InputError(
            "popularity", expected="at least one query vector", got="none",
            fix="Check the query log, or leave mine.popularity.temperature null.",
        )  # fmt: skip
    means: NDArray[np.float64] = largest + temperature * np.log(total / asked)
    return means.astype(np.float32)


def by_likelihood(found: SearchResult, popular: NDArray[np.float32], k: int) -> SearchResult:
    """The best ``k`` of what a wider search found, by ``score_less_popularity``.

    ``found`` (q, pool), ``popular`` (n,) of the indexed passages. The scores of the result stay
    inner products. Of equal differences the first one found is first; where nothing more was found
    (-1) is last.
    """
    differences = score_less_popularity(found.scores, found.ids, popular)
    best = np.argsort(-differences, axis=1, kind="stable")[:, :k]
    return SearchResult(
        np.take_along_axis(found.scores, best, axis=1), np.take_along_axis(found.ids, best, axis=1)
    )


def score_less_popularity(
    scores: NDArray[np.float32], ids: NDArray[np.int64], popular: NDArray[np.float32]
) -> NDArray[np.float32]:
    """s(q, p) - h(p), of the shape of ``scores`` and ``ids``; -inf where the id is -1."""
    return np.where(ids >= 0, scores - popular[ids], np.float32(-np.inf))
