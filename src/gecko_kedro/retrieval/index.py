"""The index: exact inner-product top-k with one definition of score and order for every backend."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gecko_kedro.base.errors import InputError
from gecko_kedro.retrieval import fallback
from gecko_kedro.retrieval.exclusions import Exclusions, checked_pairs
from gecko_kedro.retrieval.levels import (
    PORTABLE,
    extension,
    level_for,
    packed_type,
    packing_pays,
    simd_level,
)
from gecko_kedro.retrieval.result import ReportProgress, SearchResult, cancellable, check_k
from gecko_kedro.retrieval.vectors import MappedFile, as_matrix, check_width, measure_norms

_MANY_QUERIES = 64
_LARGEST_BYTE_DIMENSION = 65536  # beyond it, sums of products of bytes leave 32 bits


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
        self._file = MappedFile(matrix)
        with self._file.reading():
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
        wanted = checked_pairs(ids, where, n_queries=len(rows), n_passages=len(self))
        level = simd_level()
        core = extension(level)
        with self._file.reading():
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
        with self._file.reading():
            opened, how = self._opened(queries, k, exclude, threads, progress)
            scores, ids = opened.run(**how)
        return SearchResult(scores, ids, recall=1.0)

    def mine(
        self, queries: Any, *, search: dict[str, Any], options: dict[str, Any]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32], list[int]] | None:
        """``mining.mine_negatives`` in one call of the extension; None where NumPy serves.

        search: the arguments of ``search``, all of them. options: what csrc/mining.h asks for
        besides, checked. Gives ids and scores of the negatives, and the numbers of candidates by
        their fate.
        Raises InputError as ``search`` does.
        """
        mined: tuple[NDArray[np.int64], NDArray[np.float32], list[int]]
        with self._file.reading():
            opened, how = self._opened(queries, **search)
            if isinstance(opened, fallback.Search):
                return None
            mined = opened.mine_negatives(**options, **how)
        return mined

    def _opened(
        self,
        queries: Any,
        k: int,
        exclude: Exclusions | Sequence[Any] | None,
        threads: int | None,
        progress: ReportProgress | None,
    ) -> tuple[Any, dict[str, Any]]:
        """The ``Search`` of the level that serves, and what its methods take besides."""
        where = "retrieval.Index.search"
        rows = self.checked_queries(queries, where)
        check_k(k, where, threads)
        norms = measure_norms(rows, f"{where}, queries")
        excluded = Exclusions.checked(exclude, len(rows))
        how = {"threads": threads or 0, "progress": self._file.checking(cancellable(progress))}
        self._searches += 1
        level = level_for(self._dtype)
        core, first_pass = extension(level), self._first_pass(level, len(rows))
        packed = None
        # A memory map is not packed, but rounded as it is read.
        if core is not None and first_pass != "float32" and not self._file:
            if level not in self._packed:
                self._packed[level] = core.pack(self.vectors, level, how["threads"])
            packed = self._packed[level]
        opened = (fallback if core is None else core).Search(
            queries=rows, query_norms=norms, passages=self.vectors, passage_norms=self._norms, k=k,
            exclude_offsets=excluded.offsets, exclude_ids=excluded.ids,
            level=level, first_pass=first_pass, packed=packed, certified=True,
        )  # fmt: skip
        return opened, how

    def checked_queries(self, queries: Any, where: str) -> NDArray[Any]:
        """``queries`` as ``as_matrix`` gives them; InputError for another number of columns."""
        rows = as_matrix(queries, f"{where}, queries")
        check_width(rows, where, self.dimension)
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
        pays = n_queries >= _MANY_QUERIES or (self._searches > 3 and not self._file)
        return packed if packed and (pays or level in self._packed) else "float32"

    def _can_pack(self, level: str) -> bool:
        """Whether packing for ``level`` is possible and, unless it was asked for, worth while."""
        packed = packed_type(level)
        if packed is None or (packed == "int8" and self.dimension > _LARGEST_BYTE_DIMENSION):
            return False
        # The portable level has int8 for the sake of tests.
        return self._dtype == packed or (self._dtype == "auto" and level != PORTABLE)
