"""Hard negatives in one call: search, filter by rank and score, draw."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gecko_kedro.base.errors import InputError
from gecko_kedro.retrieval.exclusions import Exclusions, as_ids
from gecko_kedro.retrieval.index import Index
from gecko_kedro.retrieval.result import ReportProgress
from gecko_kedro.retrieval.sampling import Strategy, check_draw, sample_negatives

if TYPE_CHECKING:
    from gecko_kedro.retrieval.torch_index import TorchIndex

# The filters in their order, as in csrc/mining.h: the reason of a refusal, and the option.
_REFUSALS = {
    "outside_rank_window": "rank_window",
    "above_max_score": "max_score",
    "below_min_score": "min_score",
    "within_absolute_margin": "absolute_margin",
    "within_relative_margin": "relative_margin",
}


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
    where = "retrieval.mine_negatives"
    n_queries = len(queries)
    own = _checked_positives(positives, n_queries, len(index), where)
    check_draw(where, n_negatives=n_negatives, strategy=strategy, seed=seed)
    hidden = _union(own, Exclusions.checked(exclude, n_queries))
    search: dict[str, Any] = {"k": k, "exclude": hidden, "threads": threads, "progress": progress}
    filters: dict[str, Any] = {
        "rank_window": rank_window or (0, k),
        "max_score": max_score,
        "min_score": min_score,
        "absolute_margin": absolute_margin,
        "relative_margin": relative_margin,
    }
    draw: dict[str, Any] = {
        "n_negatives": n_negatives,
        "strategy": strategy,
        "seed": seed,
        "query_ids": _checked_query_ids(query_ids, n_queries, where),
    }
    mined = None
    if isinstance(index, Index):  # in one call of the extension, block by block of the queries
        positive = {"positive_offsets": own.offsets, "positive_ids": own.ids}
        mined = index.mine(queries, search=search, options=positive | filters | draw)
    if mined is None:  # the same with all candidates (q, k) in NumPy
        found = index.search(queries, **search)
        eligible, numbers = found.ids >= 0, []
        for refused in _refusals(found.scores, _lowest(index, queries, own), filters):
            numbers.append(int((eligible & refused).sum()))
            eligible &= ~refused
        ids = sample_negatives(found.ids, eligible=eligible, **draw)
        mined = ids, index.score_pairs(queries, ids), [*numbers, int(eligible.sum())]
    ids, scores, numbers = mined
    counts = {
        reason: number
        for (reason, option), number in zip(_REFUSALS.items(), numbers[:-1], strict=True)
        if filters[option] is not None
    }
    unfilled = np.flatnonzero((ids < 0).any(axis=1))
    return MinedNegatives(ids, scores, counts | {"eligible": numbers[-1]}, unfilled)


def _checked_positives(
    positives: Exclusions | Sequence[Any], n_queries: int, n_passages: int, where: str
) -> Exclusions:
    own = Exclusions.checked(positives, n_queries)
    outside = (own.ids < 0) | (own.ids >= n_passages)
    if outside.any():
        raise InputError(
            f"{where}, positives",
            expected=f"ids from 0 to {n_passages - 1}",
            got=own.ids[outside][0].item(),
            fix="Give row numbers of the index.",
        )
    return own


def _checked_query_ids(query_ids: Any, n_queries: int, where: str) -> NDArray[np.uint64]:
    if query_ids is None:
        return np.arange(n_queries, dtype=np.uint64)
    checked = as_ids(query_ids, f"{where}, query_ids").view(np.uint64)
    if checked.shape != (n_queries,):
        raise InputError(
            f"{where}, query_ids",
            expected=f"{n_queries} numbers (one per query)",
            got=f"shape {checked.shape}",
            fix="Give one number for each query, or none: then rows are numbered.",
        )
    return checked


def _union(left: Exclusions, right: Exclusions) -> Exclusions:
    n_queries = len(left.offsets) - 1
    owners = [np.repeat(np.arange(n_queries), np.diff(part.offsets)) for part in (left, right)]
    owner, ids = np.concatenate(owners), np.concatenate([left.ids, right.ids])
    return Exclusions(left.offsets + right.offsets, ids[np.argsort(owner, kind="stable")])


def _lowest(
    index: "Index | TorchIndex", queries: Any, positives: Exclusions
) -> NDArray[np.float64]:
    """The lowest score of each query with one of its positives (q, 1); infinity without any."""
    counts = np.diff(positives.offsets)
    table = np.full((len(counts), int(counts.max(initial=0))), -1, dtype=np.int64)
    table[np.arange(table.shape[1]) < counts[:, None]] = positives.ids
    scores = index.score_pairs(queries, table).astype(np.float64)
    scores[table < 0] = np.inf
    lowest: NDArray[np.float64] = scores.min(axis=1, initial=np.inf, keepdims=True)
    return lowest


def _refusals(
    scores: NDArray[np.float32], positive: NDArray[np.float64], filters: dict[str, Any]
) -> Iterator[NDArray[np.bool_]]:
    """Of each of ``_REFUSALS``: a mask (q, k) of the candidates that it refuses."""
    exact = scores.astype(np.float64)
    rank = np.broadcast_to(np.arange(scores.shape[1]), scores.shape)
    first, end = filters["rank_window"]
    yield (rank < first) | (rank >= end)
    highest, lowest = filters["max_score"], filters["min_score"]
    yield exact > (np.inf if highest is None else highest)
    yield exact < (-np.inf if lowest is None else lowest)
    margin, share = filters["absolute_margin"], filters["relative_margin"]
    yield exact > (np.inf if margin is None else positive - margin)
    known = np.where(np.isfinite(positive), positive, 0.0)
    yield exact > (np.inf if share is None else positive - np.abs(known) * share)
