"""Per-query lists of ids that a search must not return."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gecko_kedro.errors import InputError


@dataclass(frozen=True)
class Exclusions:
    """Id lists in CSR form: query ``i`` must not get ``ids[offsets[i]:offsets[i + 1]]``.

    offsets: (q + 1,) int64, from 0, never falling; ids: (offsets[-1],) int64, sorted in each list.
    """

    offsets: NDArray[np.int64]
    ids: NDArray[np.int64]

    @classmethod
    def from_lists(cls, lists: Sequence[Any]) -> "Exclusions":
        """One sequence of ids per query, in any order."""
        rows = [np.sort(np.asarray(ids, dtype=np.int64).ravel()) for ids in lists]
        offsets = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum([row.size for row in rows], out=offsets[1:])
        return cls(offsets, np.concatenate([np.empty(0, dtype=np.int64), *rows]))

    @classmethod
    def checked(cls, exclude: "Exclusions | Sequence[Any] | None", n_queries: int) -> "Exclusions":
        """Whatever ``Index.search`` was given, as sorted lists of exactly ``n_queries`` queries.

        Raises InputError where the number of lists or the offsets do not fit.
        """
        if exclude is None:
            return cls(np.zeros(n_queries + 1, dtype=np.int64), np.empty(0, dtype=np.int64))
        if not isinstance(exclude, Exclusions):
            exclude = cls.from_lists(exclude)
        offsets = np.ascontiguousarray(exclude.offsets, dtype=np.int64)
        ids = np.ascontiguousarray(exclude.ids, dtype=np.int64)
        fits = offsets.shape == (n_queries + 1,) and ids.ndim == 1
        if not fits or offsets[0] != 0 or offsets[-1] != ids.size or np.any(np.diff(offsets) < 0):
            raise InputError(
                "retrieval.Index.search, exclude",
                expected=f"{n_queries} id lists (one per query)",
                got=f"offsets of shape {offsets.shape} for {ids.size} ids",
                fix="Give one list of ids per query, an empty one where nothing is excluded.",
            )
        owners = np.repeat(np.arange(n_queries), np.diff(offsets))
        return cls(offsets, ids[np.lexsort((ids, owners))])
