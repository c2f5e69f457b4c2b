"""Drawing hard negatives from ranked candidates, reproducibly for each query."""

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from gecko_kedro.base.errors import InputError
from gecko_kedro.retrieval.exclusions import as_ids
from gecko_kedro.retrieval.levels import extension, simd_level

Strategy = Literal["top", "random", "last"]

# Of Philox4x32-10.
_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


def sample_negatives(
    candidates: Any,
    *,
    eligible: Any,
    n_negatives: int,
    strategy: Strategy,
    seed: int,
    query_ids: Any,
) -> NDArray[np.int64]:
    """Choose ``n_negatives`` of each query's eligible candidates -> ids (q, n_negatives) int64.

    candidates: (q, k) ids, best first, -1 where there is none. eligible: (q, k) bool. query_ids:
    (q,) unsigned 64-bit, what the draws of a query depend on instead of its row.
    strategy: ``top`` takes the best ranked first, ``last`` the worst ranked first, ``random`` draws
    uniformly without replacement (docs/retrieval.md). Where too few are eligible the row ends in
    -1.
    Raises InputError for shapes that do not fit, an unknown strategy or a negative number.
    """
    where = "retrieval.sample_negatives"
    ids = as_ids(candidates, f"{where}, candidates")
    mask = np.ascontiguousarray(eligible, dtype=np.bool_)
    queries = as_ids(query_ids, f"{where}, query_ids").view(np.uint64)
    if ids.ndim != 2 or mask.shape != ids.shape or queries.shape != ids.shape[:1]:
        raise InputError(
            where,
            expected="candidates (q, k), eligible (q, k) and query_ids (q,)",
            got=(ids.shape, mask.shape, queries.shape),
            fix="Give one row of candidates and of eligibility for each query id.",
        )
    check_draw(where, n_negatives=n_negatives, strategy=strategy, seed=seed)
    chosen: NDArray[np.int64]
    core = extension(simd_level())
    if core is not None:
        chosen = core.sample_negatives(ids, mask, n_negatives, strategy, seed, queries)
        return chosen
    mask = mask & (ids >= 0)  # a copy: the caller's stays
    order = np.lexsort((_keys(ids, queries, strategy, seed), ~mask), axis=1)[:, :n_negatives]
    chosen = np.full((len(ids), n_negatives), -1, dtype=np.int64)
    taken = np.take_along_axis(np.where(mask, ids, -1), order, axis=1)
    chosen[:, : order.shape[1]] = taken
    return chosen


def check_draw(where: str, *, n_negatives: int, strategy: str, seed: int) -> None:
    """Raise InputError for an unknown strategy or a number that is out of range."""
    if strategy not in get_args(Strategy):
        raise InputError(
            f"{where}, strategy",
            expected="one of " + ", ".join(get_args(Strategy)),
            got=strategy,
            fix="'last' is the paper's choice.",
        )
    if n_negatives < 0 or not 0 <= seed < 2**64:
        raise InputError(
            where,
            expected="n_negatives of at least 0 and a seed from 0 to 2**64 - 1",
            got={"n_negatives": n_negatives, "seed": seed},
            fix="Give a non-negative number for each.",
        )


def _keys(
    ids: NDArray[np.int64], queries: NDArray[np.uint64], strategy: Strategy, seed: int
) -> NDArray[np.uint64]:
    """(q, k) of each candidate: the smallest are chosen.

    Of a random draw: one block of Philox for each pair. The seed is its key, (passage id, query id)
    its 128-bit counter, and the first two words are the number, low word first.
    """
    if strategy != "random":
        place = np.broadcast_to(np.arange(ids.shape[1], dtype=np.uint64), ids.shape)
        return place if strategy == "top" else np.uint64(ids.shape[1]) - place
    passages, owners = np.broadcast_arrays(ids.view(np.uint64), queries[:, None])
    counter = [passages & _LOW, passages >> _HALF, owners & _LOW, owners >> _HALF]
    words = philox4x32(counter, (seed & 0xFFFFFFFF, seed >> 32))
    return words[0] | (words[1] << _HALF)


def philox4x32(counter: list[NDArray[np.uint64]], key: tuple[int, int]) -> list[NDArray[np.uint64]]:
    """Philox4x32-10, a counter-based generator (Salmon et al. 2011, "Parallel random numbers").

    Gives four 32-bit words (held in uint64 arrays) for each counter of four 32-bit words.
    """
    c0, c1, c2, c3 = counter
    for step in range(10):
        k0, k1 = (np.uint64((word + step * _WEYL[i]) & 0xFFFFFFFF) for i, word in enumerate(key))
        first, second = _MULTIPLIERS[0] * c0, _MULTIPLIERS[1] * c2
        c0, c1 = (second >> _HALF) ^ c1 ^ k0, second & _LOW
        c2, c3 = (first >> _HALF) ^ c3 ^ k1, first & _LOW
    return [c0, c1, c2, c3]
