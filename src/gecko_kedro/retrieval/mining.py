"""Hard negatives in one call: search, filter by rank and score, draw."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gecko_kedro.errors import InputError
from gecko_kedro.retrieval.exclusions import Exclusions
from gecko_kedro.retrieval.index import Index, ReportProgress
from gecko_kedro.retrieval.sampling import Strategy, sample_negatives

if TYPE_CHECKING:
    from gecko_kedro.retrieval.torch_index import TorchIndex


@dataclass(frozen=True)
class MinedNegatives:
    """What ``mine_negatives`` found.

    ids: (q, n) int64, -1 where no candidate was left; scores: (q, n) float32, -inf there.
    counts: candidates by what became of them: one number for each reason of a refusal, and
    ``eligible``. unfilled: the rows of queries that got fewer than n.
    """

    ids: NDArray[np.int64]
    scores: NDArray[np.float32]
    counts: dict[str, int]
    unfilled: NDArray[np.int64]


def mine_negatives(
    index: "Index | TorchIndex",
    queries: Any,
    positives: Exclusions | Sequence[Any],
    *,
    k: int,
    n_negatives: int,
    strategy: Strategy,
    seed: int,
    rank_window: tuple[int, int] | None = None,
    absolute_margin: float | None = None,
    relative_margin: float | None = None,
    max_score: float | None = None,
    min_score: float | None = None,
    query_ids: Any = None,
    exclude: Exclusions | Sequence[Any] | None = None,
    threads: int | None = None,
    progress: ReportProgress | None = None,
) -> MinedNegatives:
    """Draw ``n_negatives`` for each query from its ``k`` best passages that are no positives.

    positives: per query the ids of its positives; they and ``exclude`` are never drawn. Filters,
    in the order in which they count a refusal:
    rank_window (first, end): ranks from 0 among the candidates, ``first`` included, ``end`` not.
    max_score, min_score: refuse a score above or below.
    absolute_margin: refuse a score above (lowest score of the query's positives) - margin.
    relative_margin: refuse a score above (that) - |that| * margin; 0.05 keeps what has at most 95 %
    of a positive score (Moreira et al. 2024, NV-Retriever, "TopK-PercPos").
    strategy, seed, query_ids: see ``sample_negatives``; query_ids default to the rows' numbers.

    A query without positives passes both margins. Nothing fills up a row that comes out short.
    Raises InputError as ``Index.search`` and ``sample_negatives`` do.
    """
    n_queries = len(queries)
    own = Exclusions.checked(positives, n_queries)
    hidden = _union(own, Exclusions.checked(exclude, n_queries))
    found = index.search(queries, k, exclude=hidden, threads=threads, progress=progress)
    refusals = _refusals(
        found.scores,
        _lowest_positive_scores(index, queries, own),
        rank_window=rank_window or (0, k),
        absolute_margin=absolute_margin,
        relative_margin=relative_margin,
        max_score=max_score,
        min_score=min_score,
    )
    eligible = found.ids >= 0
    counts = {}
    for reason, refused in refusals.items():
        counts[reason] = int((eligible & refused).sum())
        eligible &= ~refused
    counts["eligible"] = int(eligible.sum())
    ids = sample_negatives(
        found.ids,
        eligible=eligible,
        n_negatives=n_negatives,
        strategy=strategy,
        seed=seed,
        query_ids=np.arange(n_queries) if query_ids is None else query_ids,
    )
    unfilled = np.flatnonzero((ids < 0).any(axis=1))
    return MinedNegatives(ids, index.score_pairs(queries, ids), counts, unfilled)


def _union(left: Exclusions, right: Exclusions) -> Exclusions:
    n_queries = len(left.offsets) - 1
    owners = [np.repeat(np.arange(n_queries), np.diff(part.offsets)) for part in (left, right)]
    owner, ids = np.concatenate(owners), np.concatenate([left.ids, right.ids])
    return Exclusions(left.offsets + right.offsets, ids[np.argsort(owner, kind="stable")])


def _lowest_positive_scores(
    index: "Index | TorchIndex", queries: Any, positives: Exclusions
) -> NDArray[np.float64]:
    """The lowest score of each query with one of its positives (q,); infinity without any."""
    counts = np.diff(positives.offsets)
    if np.any(positives.ids < 0) or np.any(positives.ids >= len(index)):
        raise InputError(
            "retrieval.mine_negatives, positives",
            expected=f"ids from 0 to {len(index) - 1}",
            got=positives.ids[(positives.ids < 0) | (positives.ids >= len(index))][0].item(),
            fix="Give row numbers of the index.",
        )
    table = np.full((len(counts), int(counts.max(initial=0))), -1, dtype=np.int64)
    table[np.arange(table.shape[1]) < counts[:, None]] = positives.ids
    scores = index.score_pairs(queries, table).astype(np.float64)
    scores[table < 0] = np.inf
    lowest: NDArray[np.float64] = scores.min(axis=1, initial=np.inf)
    return lowest


def _refusals(
    scores: NDArray[np.float32],
    positive: NDArray[np.float64],
    *,
    rank_window: tuple[int, int],
    absolute_margin: float | None,
    relative_margin: float | None,
    max_score: float | None,
    min_score: float | None,
) -> dict[str, NDArray[np.bool_]]:
    """For each filter that is on, by reason: a mask (q, k) of the candidates that it refuses."""
    exact = scores.astype(np.float64)
    rank = np.broadcast_to(np.arange(scores.shape[1]), scores.shape)
    refused = {"outside_rank_window": (rank < rank_window[0]) | (rank >= rank_window[1])}
    if max_score is not None:
        refused["above_max_score"] = exact > max_score
    if min_score is not None:
        refused["below_min_score"] = exact < min_score
    if absolute_margin is not None:
        refused["within_absolute_margin"] = exact > positive[:, None] - absolute_margin
    if relative_margin is not None:
        known = np.where(np.isfinite(positive), positive, 0.0)
        limit = positive - np.abs(known) * relative_margin
        refused["within_relative_margin"] = exact > limit[:, None]
    return refused
