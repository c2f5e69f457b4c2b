"""Whether a search is right: against float64, and against itself."""

import os

import numpy as np

CHUNK = 16_384


class Truth:
    """The k-th best score of each of the first ``sample`` queries, in float64."""

    def __init__(self, passages: np.ndarray, queries: np.ndarray, k: int, *, sample: int) -> None:
        self.passages, self.queries = passages, queries[:sample].astype(np.float64)
        best = np.empty((len(self.queries), 0))
        for start in range(0, len(passages), CHUNK):
            scores = self.queries @ passages[start : start + CHUNK].astype(np.float64).T
            kept = min(k, scores.shape[1])
            best = np.hstack([best, np.partition(scores, -kept, axis=1)[:, -kept:]])
            best = np.partition(best, -min(k, best.shape[1]), axis=1)[:, -k:]
        self.kth_best = best.min(axis=1, keepdims=True)

    def scores(self, ids: np.ndarray) -> np.ndarray:
        """Float64 scores of the sample's queries with ``ids`` (q, k)."""
        rows = np.empty(ids[: len(self.queries)].shape)
        for row, query in enumerate(self.queries):
            rows[row] = self.passages[ids[row]].astype(np.float64) @ query
        return rows

    def recall(self, ids: np.ndarray) -> float:
        """Share of ``ids`` whose score reaches the true k-th best, less 1e-7."""
        return float((self.scores(ids) >= self.kth_best - 1e-7).mean())


def check(index, queries: np.ndarray, k: int, truth: Truth) -> dict[str, bool | float]:
    """What the engine promises; a promise that is broken ends the benchmark.

    Recall of exactly 1, scores within 1e-6, the order, unique ids; the same bits for one thread and
    for two, for halves of the queries, and at every level.
    """
    from gecko_kedro.retrieval import simd_level
    from gecko_kedro.retrieval.levels import available_levels

    some = queries[: len(truth.queries)]
    found = index.search(some, k, threads=2)
    exact = truth.scores(found.ids)
    keys = np.stack([-found.scores.astype(np.float64), found.ids.astype(np.float64)])
    falls = keys[0, :, 1:] > keys[0, :, :-1]
    ties = (keys[0, :, 1:] == keys[0, :, :-1]) & (keys[1, :, 1:] > keys[1, :, :-1])
    half = max(1, len(some) // 2)
    results = {
        "recall": truth.recall(found.ids),
        "largest_score_error": float(np.abs(found.scores - exact).max()),
        "ordered": bool((falls | ties).all()),
        "unique_ids": all(len(set(row)) == k for row in found.ids.tolist()),
        "same_with_one_thread": _same(found, index.search(some, k, threads=1)),
        "same_in_halves": _same(found, index.search(some[:half], k), half),
    }
    few = some[:64]
    for level in set(available_levels()) - {simd_level()}:
        os.environ["GECKO_SIMD"] = level
        try:
            results[f"same_at_{level}"] = _same(found, index.search(few, k), len(few))
        finally:
            os.environ.pop("GECKO_SIMD")
    broken = [name for name, value in results.items() if value is False]
    if broken or results["recall"] != 1.0 or results["largest_score_error"] > 1e-6:
        raise SystemExit(f"the search breaks a promise: {results}")
    return results


def _same(left, right, rows: int | None = None) -> bool:
    same_ids = np.array_equal(left.ids[:rows], right.ids)
    return same_ids and np.array_equal(left.scores[:rows], right.scores)
