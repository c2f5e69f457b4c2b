"""Drawing hard negatives from ranked candidates, reproducibly for each query."""

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from gecko_kedro.base.errors import InputError
from gecko_kedro.retrieval.exclusions import as_ids
from gecko_kedro.retrieval.levels import extension, simd_level
from gecko_kedro.retrieval.philox import draw_keys

Strategy = Literal["top", "random", "last"]


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
    uniformly without replacement. Where too few are eligible the row ends in -1.

    In a random draw each candidate has a 64-bit key, Philox4x32-10 of (seed, query id, passage id),
    and the smallest keys win. So a draw depends neither on other queries nor on the order of
    candidates, and a longer list changes it as little as possible.
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
    core = extension(simd_level())
    if core is not None:
        chosen: NDArray[np.int64] = core.sample_negatives(
            ids, mask, n_negatives, strategy, seed, queries
        )
        return chosen
    if strategy == "random":
        keys = draw_keys(seed, queries[:, None], ids.view(np.uint64))
    else:
        rank = np.broadcast_to(np.arange(ids.shape[1], dtype=np.uint64), ids.shape)
        keys = rank if strategy == "top" else np.uint64(ids.shape[1]) - rank
    return _smallest(ids, mask & (ids >= 0), keys, n_negatives)


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


def _smallest(
    ids: NDArray[np.int64],
    eligible: NDArray[np.bool_],
    keys: NDArray[np.uint64],
    n_negatives: int,
) -> NDArray[np.int64]:
    """The eligible ids of each row with the smallest keys, equal keys in the order of columns."""
    order = np.lexsort((keys, ~eligible), axis=1)[:, :n_negatives]  # lexsort is stable
    chosen = np.where(
        np.take_along_axis(eligible, order, axis=1), np.take_along_axis(ids, order, axis=1), -1
    )
    padded = np.full((len(ids), n_negatives), -1, dtype=np.int64)
    padded[:, : chosen.shape[1]] = chosen
    return padded
