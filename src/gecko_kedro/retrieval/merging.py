"""The best of a corpus from the best of its slices, exactly."""

from collections.abc import Sequence

import numpy as np

from gecko_kedro.retrieval.result import SearchResult


def merge_results(parts: Sequence[SearchResult], k: int) -> SearchResult:
    """The best ``k`` of each query among the ``parts``, each of which has the best of a slice.

    The slices share no passage, and ids (q, m) are those of the whole corpus, -1 where a slice has
    fewer passages than were asked for. Where each part has the best ``k`` of its slice, this is
    what a search of the whole corpus gives, bit for bit: higher score first, then lower id, padded
    with -inf and -1. The order of the parts, and merging some of them before, change nothing.
    """
    scores = np.concatenate([part.scores for part in parts], axis=1)
    ids = np.concatenate([part.ids for part in parts], axis=1)
    missing = k - scores.shape[1]
    if missing > 0:
        scores = np.pad(scores, ((0, 0), (0, missing)), constant_values=-np.inf)
        ids = np.pad(ids, ((0, 0), (0, missing)), constant_values=-1)
    last = ids.view(np.uint64)  # as unsigned numbers, -1 comes behind every id
    order = np.lexsort((last, -scores), axis=1)[:, :k]
    recalls = [part.recall for part in parts if part.recall is not None]
    return SearchResult(
        np.take_along_axis(scores, order, axis=1),
        np.take_along_axis(ids, order, axis=1),
        recall=min(recalls) if len(recalls) == len(parts) else None,
    )
