"""Row numbers that come in, and the lists of those that a search must not return."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gecko_kedro.base.errors import InputError

_WHERE = "retrieval.Index.search, exclude"


def as_ids(values: Any, where: str) -> NDArray[np.int64]:
    """``values`` as a contiguous array of row numbers; InputError where they are no integers."""
    array = np.asarray(values)
    if array.size and array.dtype.kind not in "iu":  # an empty list has a type of its own
        raise InputError(
            where,
            expected="row numbers, which are integers",
            got=f"{array.dtype}",
            fix="Give numbers of rows, not masks or names; -1 where a shape asks for one too many.",
        )
    return np.ascontiguousarray(array, dtype=np.int64)


def checked_pairs(ids: Any, where: str, *, n_queries: int, n_passages: int) -> NDArray[np.int64]:
    """``ids`` as (q, m) row numbers of an index; InputError where they do not fit it."""
    wanted = as_ids(ids, f"{where}, ids")
    if wanted.ndim != 2 or len(wanted) != n_queries or np.any(wanted >= n_passages):
        raise InputError(
            f"{where}, ids",
            expected=f"{n_queries} rows of ids below {n_passages}",
            got=f"shape {wanted.shape}, largest {wanted.max(initial=-1)}",
            fix="Give one row of ids for each query, -1 where there is none.",
        )
    return wanted


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
        rows = [np.sort(as_ids(ids, _WHERE).ravel()) for ids in lists]
        offsets = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum([row.size for row in rows], out=offsets[1:])
        return cls(offsets, np.concatenate([np.empty(0, dtype=np.int64), *rows]))

    @classmethod
    def checked(cls, exclude: "Exclusions | Sequence[Any] | None", n_queries: int) -> "Exclusions":
        """Whatever ``Index.search`` was given, as sorted lists of exactly ``n_queries`` queries.

        Raises InputError where the number of lists or the offsets do not fit, and for ids that are
        no integers.
        """
        if exclude is None:
            return cls(np.zeros(n_queries + 1, dtype=np.int64), np.empty(0, dtype=np.int64))
        if not isinstance(exclude, Exclusions):
            exclude = cls.from_lists(exclude)
        offsets, ids = as_ids(exclude.offsets, _WHERE), as_ids(exclude.ids, _WHERE)
        fits = offsets.shape == (n_queries + 1,) and ids.ndim == 1
        if not fits or offsets[0] != 0 or offsets[-1] != ids.size or np.any(np.diff(offsets) < 0):
            raise InputError(
                _WHERE,
                expected=f"{n_queries} id lists (one per query)",
                got=f"offsets of shape {offsets.shape} for {ids.size} ids",
                fix="Give one list of ids per query, an empty one where nothing is excluded.",
            )
        owners = np.repeat(np.arange(n_queries), np.diff(offsets))
        return cls(offsets, ids[np.lexsort((ids, owners))])

    def of(self, query: int) -> NDArray[np.int64]:
        """The ids of one query."""
        return self.ids[self.offsets[query] : self.offsets[query + 1]]

    def within(
        self, first: int, start: int, shape: tuple[int, ...]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows and columns of what is excluded in a block of scores.

        The block has ``shape``; its first query is ``first`` and its first passage ``start``.
        """
        offsets = self.offsets[first : first + shape[0] + 1]
        ids = self.ids[offsets[0] : offsets[-1]] - start
        inside = (ids >= 0) & (ids < shape[1])
        return np.repeat(np.arange(shape[0]), np.diff(offsets))[inside], ids[inside]
