"""The index: exact inner-product top-k with one definition of score and order for every backend."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gecko_kedro.errors import InputError
from gecko_kedro.retrieval import fallback
from gecko_kedro.retrieval.exclusions import Exclusions
from gecko_kedro.retrieval.levels import PORTABLE, extension, level_for, packed_types, simd_level
from gecko_kedro.retrieval.vectors import as_matrix, measure_norms

_MANY_QUERIES = 64
_LARGEST_BYTE_DIMENSION = 65536  # beyond it, sums of products of bytes leave 32 bits
ReportProgress = Callable[[float], bool | None]


@dataclass(frozen=True)
class SearchResult:
    """The best ``k`` passages of each query, best first; padded with -inf and -1.

    scores: (q, k) float32; ids: (q, k) int64, row numbers of the index. certified: whether these
    are surely the best, as they always are unless the index has a statistical margin.
    """

    scores: NDArray[np.float32]
    ids: NDArray[np.int64]
    certified: bool = True


class SearchCancelled(RuntimeError):
    """The progress callback of a search returned False."""


class Index:
    """Passages ready to be searched by inner product, exactly.

    vectors: (n, d) float16, float32 or float64 (rounded to float32), in any memory layout, also a
    read-only memory map; kept by reference, so it must not change while the index lives.
    dtype: number type of the first pass, which never changes a result: ``"float32"`` reads the
    vectors as they are; ``"int8"`` packs them at the first search into a quarter of float32's
    memory and ``"bfloat16"`` into half of it (a memory map is not packed but rounded as it is read,
    at each search); ``"auto"`` takes int8, or else bfloat16, where the machine has instructions for
    it and enough is searched, else float32.
    margin: ``"certified"`` keeps every passage that can be among the best by a bound of the first
    pass's error that always holds. ``"statistical"`` reckons with six standard deviations of that
    error instead, as if the roundings of components were independent of the vectors: faster, and
    not certified, since a passage may, very rarely, be missed (``SearchResult.certified`` is then
    False). It makes no difference to a first pass in float32.

    Raises InputError for another shape or type, and for NaN, infinity or a norm above 1e18, with
    the row number.
    """

    def __init__(self, vectors: Any, *, dtype: str = "auto", margin: str = "certified") -> None:
        if dtype not in ("auto", "float32", "int8", "bfloat16"):
            raise InputError(
                "retrieval.Index, dtype",
                expected="'auto', 'float32', 'int8' or 'bfloat16'",
                got=dtype,
                fix="Leave it out: 'auto' takes the fastest type that this machine has.",
            )
        if margin not in ("certified", "statistical"):
            raise InputError(
                "retrieval.Index, margin",
                expected="'certified' or 'statistical'",
                got=margin,
                fix="Leave it out for results that are exact on every input.",
            )
        self.vectors = as_matrix(vectors, "retrieval.Index, vectors")
        self._norms = measure_norms(self.vectors, "retrieval.Index, vectors")
        self._dtype = dtype
        self._margin = margin
        self._mapped = isinstance(vectors, np.memmap)
        self._searches = 0
        self._packed: dict[tuple[str, str], Any] = {}

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def dimension(self) -> int:
        """Number of components of a vector."""
        return int(self.vectors.shape[1])

    def score_pairs(self, queries: Any, ids: Any) -> NDArray[np.float32]:
        """Scores of each query with given passages -> (q, m), the same bits as in ``search``.

        queries: (q, d). ids: (q, m) row numbers of the index; -1 scores -inf.
        Raises InputError for shapes or ids that do not fit, NaN and infinity.
        """
        where = "retrieval.Index.score_pairs"
        rows = self._checked_queries(queries, where)
        wanted = np.ascontiguousarray(ids, dtype=np.int64)
        if wanted.ndim != 2 or len(wanted) != len(rows) or np.any(wanted >= len(self)):
            raise InputError(
                f"{where}, ids",
                expected=f"{len(rows)} rows of ids below {len(self)}",
                got=f"shape {wanted.shape}, largest {wanted.max(initial=-1)}",
                fix="Give one row of ids for each query, -1 where there is none.",
            )
        level = simd_level()
        core = extension(level)
        if core is None:
            return fallback.score_pairs(rows, self.vectors, wanted)
        scores: NDArray[np.float32] = core.score_pairs(rows, self.vectors, wanted, level)
        return scores

    def search(
        self,
        queries: Any,
        k: int,
        *,
        exclude: Exclusions | Sequence[Any] | None = None,
        threads: int | None = None,
        progress: ReportProgress | None = None,
    ) -> SearchResult:
        """The ``k`` passages with the largest inner product with each row of ``queries`` (q, d).

        The score of a pair is its inner product in float64 rounded once to float32; order is
        higher score first, then lower id. Both are the same bits for every instruction set, number
        of threads and split of the queries. Rows with fewer than ``k`` passages end in -inf and -1.

        exclude: per query the ids it must not get. threads: default all cores of this process.
        progress: called now and then with the finished share, 0 to 1; when it returns False the
        search ends with SearchCancelled, and what it raises is raised here.
        Raises InputError for a wrong shape, NaN or infinity (with the row number), or ``k`` < 0.
        """
        where = "retrieval.Index.search"
        rows = self._checked_queries(queries, where)
        if k < 0 or (threads is not None and threads < 1):
            raise InputError(
                where,
                expected="k of at least 0 and threads of at least 1",
                got={"k": k, "threads": threads},
                fix="Ask for 0 or more passages on 1 or more threads.",
            )
        norms = measure_norms(rows, f"{where}, queries")
        excluded = Exclusions.checked(exclude, rows.shape[0])
        poll = None if progress is None else _cancellable(progress)
        level = level_for(self._dtype)
        core = extension(level)
        self._searches += 1
        first_pass = self._first_pass(level, len(rows))
        certified = self._margin == "certified" or first_pass == "float32"
        if core is None:
            found = fallback.search(
                rows, self.vectors, query_norms=norms, passage_norms=self._norms,
                k=k, exclude=excluded, poll=poll,
            )  # fmt: skip
        else:
            found = core.search(
                rows, norms, self.vectors, self._norms, k, excluded.offsets, excluded.ids,
                level, first_pass, self._pack(core, level, first_pass, threads), certified,
                threads or 0, poll,
            )  # fmt: skip
        return SearchResult(*found, certified=certified)

    def _checked_queries(self, queries: Any, where: str) -> NDArray[Any]:
        rows = as_matrix(queries, f"{where}, queries")
        if rows.shape[1] != self.dimension:
            raise InputError(
                f"{where}, queries",
                expected=f"{self.dimension} columns like the index",
                got=rows.shape,
                fix="Encode queries and passages with one model and one dimension.",
            )
        return rows

    def _first_pass(self, level: str, n_queries: int) -> str:
        """The number type of the first pass; refuses a ``dtype`` that ``level`` does not have."""
        types = packed_types(level)
        if self.dimension > _LARGEST_BYTE_DIMENSION:
            types = tuple(name for name in types if name != "int8")
        if self._dtype not in ("auto", "float32", *types):
            raise InputError(
                "retrieval.Index, dtype",
                expected=f"{', '.join(('float32', *types))} or auto at level {level} and dimension "
                f"{self.dimension}",
                got=self._dtype,
                fix="Leave dtype out: 'auto' takes the fastest type that this machine has.",
            )
        if self._dtype != "auto":
            return self._dtype
        # Packing costs about as much as three searches with few queries in float32, which read the
        # vectors once whatever their number. A memory map is rounded anew each time.
        pays = n_queries >= _MANY_QUERIES or (self._searches > 3 and not self._mapped)
        possible = types and level != PORTABLE  # which has them for the sake of tests
        return types[0] if possible and pays else "float32"

    def _pack(self, core: ModuleType, level: str, first_pass: str, threads: int | None) -> Any:
        """The passages rounded for ``level``, made once; None for float32 and a memory map."""
        if self._mapped or first_pass == "float32":
            return None
        if (level, first_pass) not in self._packed:
            packed = core.pack(self.vectors, level, first_pass, threads or 0)
            self._packed = {(level, first_pass): packed}
        return self._packed[level, first_pass]


def _cancellable(progress: ReportProgress) -> Callable[[float], None]:
    def poll(share: float) -> None:
        if progress(share) is False:
            raise SearchCancelled(f"cancelled by the progress callback at {share:.0%}")

    return poll
