"""Philox4x32-10, a counter-based generator (Salmon et al. 2011, "Parallel random numbers")."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


def draw_keys(seed: int, query_ids: ArrayLike, passage_ids: ArrayLike) -> NDArray[np.uint64]:
    """One random 64-bit number for each (query, passage), broadcast against each other.

    The seed is Philox's key, (passage id, query id) its 128-bit counter, and the first two words
    of the block are the number, low word first.
    """
    passages, queries = np.broadcast_arrays(
        np.asarray(passage_ids, dtype=np.uint64), np.asarray(query_ids, dtype=np.uint64)
    )
    counter = [passages & _LOW, passages >> _HALF, queries & _LOW, queries >> _HALF]
    words = philox4x32(counter, (seed & 0xFFFFFFFF, seed >> 32))
    return words[0] | (words[1] << _HALF)


def philox4x32(counter: list[NDArray[np.uint64]], key: tuple[int, int]) -> list[NDArray[np.uint64]]:
    """Four 32-bit words (held in uint64 arrays) for each counter of four 32-bit words."""
    c0, c1, c2, c3 = counter
    for step in range(_ROUNDS):
        k0, k1 = (np.uint64((word + step * _WEYL[i]) & 0xFFFFFFFF) for i, word in enumerate(key))
        first, second = _MULTIPLIERS[0] * c0, _MULTIPLIERS[1] * c2
        c0, c1, c2, c3 = (
            (second >> _HALF) ^ c1 ^ k0,
            second & _LOW,
            (first >> _HALF) ^ c3 ^ k1,
            first & _LOW,
        )
    return [c0, c1, c2, c3]
