"""The index: exact inner-product top-k with one definition of score and order for every backend."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gecko_kedro.base.errors import InputError
from gecko_kedro.retrieval import fallback
from gecko_kedro.retrieval.exclusions import Exclusions, as_ids
from gecko_kedro.retrieval.levels import (
    PORTABLE,
    extension,
    level_for,
    packed_type,
    packing_pays,
    simd_level,
)
from gecko_kedro.retrieval.mapping import MappedFile, reading
from gecko_kedro.retrieval.result import ReportProgress, SearchResult, cancellable
from gecko_kedro.retrieval.vectors import as_matrix, measure_norms

_MANY_QUERIES = 64
_LARGEST_BYTE_DIMENSION = 65536  # beyond it, sums of products of bytes leave 32 bits


@dataclass(frozen=True)
class _Request:
    """The arguments of a search, checked."""

    queries: NDArray[Any]
    norms: NDArray[np.float32]
    k: int
    excluded: Exclusions
    threads: int  # 0: all
    poll: Callable[[float], None] | None


class Index:
    """Passages ready to be searched by inner product, exactly.

    vectors: (n, d) float16, bfloat16, float32 or float64 (rounded to float32): a NumPy array in any
    memory layout, also a read-only memory map, an array of ml_dtypes, or a torch tensor (which is
    copied if it is not on the CPU). Kept by reference, so it must not change while the index lives.
    dtype: number type of the first pass, which never changes a result: ``"float32"`` reads the
    vectors as they are; ``"int8"`` packs them at the first search into a quarter of float32's
    memory and ``"bfloat16"`` into half of it (a memory map is not packed but rounded as it is read,
    at each search); ``"auto"`` takes int8 where that is faster and enough is searched, else
    float32.
    stored_as: ``"bfloat16"`` where ``vectors``, such as a memory map, has dtype uint16 and holds
    the bits of bfloat16, for which NumPy has no type.

    Raises InputError for another shape or type, and for NaN, infinity or a norm above 1e18, with
    the row number; every method raises it where the file of a memory map was cut short.
    """

    def __init__(self, vectors: Any, *, dtype: str = "auto", stored_as: str | None = None) -> None:
        where = "retrieval.Index, vectors"
        matrix = as_matrix(vectors, where, stored_as=stored_as)
        if dtype not in ("auto", "float32", "int8", "bfloat16"):
            raise InputError(
                "retrieval.Index, dtype",
                expected="'auto', 'float32', 'int8' or 'bfloat16'",
                got=dtype,
                fix="Leave it out: 'auto' takes the fastest type that this machine has.",
            )
        self.vectors, self._dtype = matrix, dtype
        self._file = MappedFile.behind(matrix)
        with self._reading():
            self._norms = measure_norms(matrix, where)
        self._searches = 0
        self._packed: dict[str, Any] = {}

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
        rows = self.checked_queries(queries, where)
        wanted = as_ids(ids, f"{where}, ids")
        if wanted.ndim != 2 or len(wanted) != len(rows) or np.any(wanted >= len(self)):
            raise InputError(
                f"{where}, ids",
                expected=f"{len(rows)} rows of ids below {len(self)}",
                got=f"shape {wanted.shape}, largest {wanted.max(initial=-1)}",
                fix="Give one row of ids for each query, -1 where there is none.",
            )
        level = simd_level()
        core = extension(level)
        with self._reading():
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
        request = self._checked(queries, k, exclude=exclude, threads=threads, progress=progress)
        level = level_for(self._dtype)
        first_pass = self._first_pass(level, len(request.queries))
        core = extension(level)
        with self._reading():
            if core is None:
                scores, ids = fallback.search(
                    request.queries, self.vectors, query_norms=request.norms,
                    passage_norms=self._norms, k=k, exclude=request.excluded, poll=request.poll,
                )  # fmt: skip
                return SearchResult(scores, ids, recall=1.0)
            prepared = self._prepared(core, request, level, first_pass)
            scores, ids = prepared.run(threads=request.threads, progress=request.poll)
        return SearchResult(scores, ids, recall=1.0)

    def mine(
        self,
        queries: Any,
        k: int,
        *,
        exclude: Exclusions,
        threads: int | None,
        progress: ReportProgress | None,
        **options: Any,
    ) -> tuple[NDArray[np.int64], NDArray[np.float32], list[int]] | None:
        """``mining.mine_negatives`` in one call of the extension; None where NumPy serves.

        options: what csrc/mining.h asks for besides a search, checked. Gives ids and scores of the
        negatives, and the numbers of candidates by their fate.
        Raises InputError as ``search`` does.
        """
        level = level_for(self._dtype)
        core = extension(level)
        if core is None:
            return None
        request = self._checked(queries, k, exclude=exclude, threads=threads, progress=progress)
        first_pass = self._first_pass(level, len(request.queries))
        with self._reading():
            mined: tuple[NDArray[np.int64], NDArray[np.float32], list[int]]
            mined = self._prepared(core, request, level, first_pass).mine_negatives(
                **options, threads=request.threads, progress=request.poll
            )
        return mined

    def _checked(
        self,
        queries: Any,
        k: int,
        *,
        exclude: Exclusions | Sequence[Any] | None,
        threads: int | None,
        progress: ReportProgress | None,
    ) -> _Request:
        where = "retrieval.Index.search"
        rows = self.checked_queries(queries, where)
        if k < 0 or (threads is not None and threads < 1):
            raise InputError(
                where,
                expected="k of at least 0 and threads of at least 1",
                got={"k": k, "threads": threads},
                fix="Ask for 0 or more passages on 1 or more threads.",
            )
        norms = measure_norms(rows, f"{where}, queries")
        excluded = Exclusions.checked(exclude, rows.shape[0])
        poll = None if progress is None else cancellable(progress)
        if self._file is not None:
            poll = self._file.checking(poll)
        self._searches += 1
        return _Request(rows, norms, k, excluded, threads or 0, poll)

    def _prepared(self, core: ModuleType, request: _Request, level: str, first_pass: str) -> Any:
        """The extension's ``Search``; the passages are packed now, if that is how it reads them."""
        packed = None if first_pass == "float32" else self._pack(core, level, request.threads)
        return core.Search(
            queries=request.queries, query_norms=request.norms,
            passages=self.vectors, passage_norms=self._norms, k=request.k,
            exclude_offsets=request.excluded.offsets, exclude_ids=request.excluded.ids,
            level=level, first_pass=first_pass, packed=packed, certified=True,
        )  # fmt: skip

    def _reading(self) -> AbstractContextManager[None]:
        return reading(self._file)

    def checked_queries(self, queries: Any, where: str) -> NDArray[Any]:
        """``queries`` as ``as_matrix`` gives them; InputError for another number of columns."""
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
        packed = packed_type(level) if self._can_pack(level) else None
        if self._dtype not in ("auto", "float32", packed):
            raise InputError(
                "retrieval.Index, dtype",
                expected=f"'float32' or 'auto' at level {level} and dimension {self.dimension}",
                got=self._dtype,
                fix="Leave dtype out: 'auto' takes the fastest type that this machine has.",
            )
        if self._dtype != "auto":
            return self._dtype
        if not packing_pays(level, n_queries):
            return "float32"
        # Packing costs about as much as three searches with few queries in float32, which read the
        # vectors once whatever their number. A memory map is rounded anew each time.
        pays = n_queries >= _MANY_QUERIES or (self._searches > 3 and self._file is None)
        return packed if packed and (pays or level in self._packed) else "float32"

    def _can_pack(self, level: str) -> bool:
        """Whether packing for ``level`` is possible and, unless it was asked for, worth while."""
        packed = packed_type(level)
        if packed is None or (packed == "int8" and self.dimension > _LARGEST_BYTE_DIMENSION):
            return False
        # The portable level has int8 for the sake of tests.
        return self._dtype == packed or (self._dtype == "auto" and level != PORTABLE)

    def _pack(self, core: ModuleType, level: str, threads: int) -> Any:
        """The passages rounded for ``level``, made once; None for a mere memory map."""
        if level not in self._packed and self._file is None:
            self._packed[level] = core.pack(self.vectors, level, threads)
        return self._packed.get(level)
