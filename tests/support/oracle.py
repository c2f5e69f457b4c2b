"""Top-k by definition: all scores in float64, rounded once, fully sorted."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gecko_kedro.retrieval import SearchResult


def scores64(queries: NDArray[np.floating], passages: NDArray[np.floating]) -> NDArray[np.float64]:
    return queries.astype(np.float64) @ passages.astype(np.float64).T


def assert_is_exact(
    found: SearchResult,
    queries: NDArray[np.floating],
    passages: NDArray[np.floating],
    k: int,
    exclude: Sequence[Sequence[int]] | None = None,
) -> None:
    """Right up to one rounding: scores, order, ties by id, exclusions, padding, completeness."""
    truth = scores64(queries, passages)
    for row, excluded in enumerate(exclude or []):
        truth[row, [i for i in excluded if 0 <= i < len(passages)]] = -np.inf
    n_queries = len(truth)
    assert found.scores.shape == found.ids.shape == (n_queries, k)
    assert found.scores.dtype == np.float32
    assert found.ids.dtype == np.int64
    scale = np.float64(1.0) + np.abs(truth[np.isfinite(truth)]).max(initial=0.0)
    for row in range(n_queries):
        filled = min(k, int(np.isfinite(truth[row]).sum()))
        ids, scores = found.ids[row, :filled], found.scores[row, :filled]
        assert (found.ids[row, filled:] == -1).all()
        assert (found.scores[row, filled:] == -np.inf).all()
        assert len(set(ids.tolist())) == filled
        np.testing.assert_allclose(scores, truth[row, ids], rtol=0, atol=1e-7 * scale)
        steps = list(zip((-scores).tolist(), ids.tolist(), strict=True))
        assert steps == sorted(steps)
        if filled:
            kth = np.sort(truth[row])[::-1][filled - 1]
            assert truth[row, ids].min() >= kth - 1e-7 * scale
