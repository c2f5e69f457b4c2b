"""An exact index in slices, each held by a worker of the engine."""

from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from mmap import mmap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gecko_kedro.retrieval.devices import open_exact
from gecko_kedro.retrieval.result import SearchResult, merge_results
from gecko_kedro.retrieval.settings import SearchDevice

if TYPE_CHECKING:
    from gecko_kedro.engine import Engine  # needs polars, which no search needs


@dataclass(frozen=True)
class MappedRows:
    """Rows ``start`` to ``stop`` of a file of vectors: a place to read from, not the numbers."""

    file: str
    dtype: str
    offset: int
    shape: tuple[int, ...]
    start: int
    stop: int

    def open(self) -> NDArray[Any]:
        """The rows, mapped."""
        whole = np.memmap(
            self.file, dtype=self.dtype, mode="r", offset=self.offset, shape=self.shape
        )
        return whole[self.start : self.stop]


class SliceSearcher:
    """Holds the index of one slice, whose first row has the id ``first``."""

    def __init__(
        self,
        rows: "MappedRows | NDArray[Any]",
        *,
        first: int,
        device: SearchDevice,
        threads: int | None,
        stored_as: str | None,
    ) -> None:
        vectors = rows.open() if isinstance(rows, MappedRows) else rows
        self._index = open_exact(vectors, device=device, stored_as=stored_as)
        self._first, self._threads = first, threads

    def __call__(self, task: tuple[str, NDArray[Any], Any]) -> Any:
        """("search", queries, k) or ("score_pairs", queries, ids), with ids of the corpus."""
        name, queries, argument = task
        if name == "search":
            found = self._index.search(queries, argument, threads=self._threads)
            ids = np.where(found.ids >= 0, found.ids + self._first, -1)
            return SearchResult(found.scores, ids, found.recall)
        own = (argument >= self._first) & (argument < self._first + len(self._index))
        return self._index.score_pairs(queries, np.where(own, argument - self._first, -1))


class SlicedIndex:
    """``Index`` over the search workers of ``engine``: scores, order and ids are the same bits.

    vectors: (n, d), and stored_as: see ``Index``. Of a memory map the workers open the file
    themselves, on a disk that all of their machines see; an array is sent to them.
    device: see ``open_exact``; each worker looks at its own machine. threads: of a search on the
    CPU; None for as many as the engine gives a worker.
    """

    def __init__(
        self,
        vectors: NDArray[Any],
        *,
        engine: "Engine",
        threads: int | None,
        device: SearchDevice = "cpu",
        stored_as: str | None = None,
    ) -> None:
        n_slices = max(1, min(engine.workers("search"), len(vectors)))
        edges = [len(vectors) * number // n_slices for number in range(n_slices + 1)]
        self._workers = engine.hold(
            [
                partial(
                    SliceSearcher,
                    _portable(vectors, start, stop),
                    first=start,
                    device=device,
                    threads=threads or engine.threads("search"),
                    stored_as=stored_as,
                )
                for start, stop in pairwise(edges)
            ],
            role="search",
        )

    def search(self, queries: NDArray[Any], k: int) -> SearchResult:
        """As ``Index.search``; ``queries`` (q, d)."""
        return merge_results(self._workers.each(("search", queries, k)), k)

    def score_pairs(self, queries: NDArray[Any], ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """As ``Index.score_pairs``: each slice scores its own ids, and others -inf."""
        scores = self._workers.each(("score_pairs", queries, ids))
        best: NDArray[np.float32] = np.maximum.reduce(scores)
        return best


def _portable(vectors: NDArray[Any], start: int, stop: int) -> "MappedRows | NDArray[Any]":
    if not isinstance(vectors, np.memmap) or vectors.filename is None:
        return vectors[start:stop]
    if not isinstance(vectors.base, mmap):  # a view does not say where in the file it begins
        return vectors[start:stop]
    file, kind = str(Path(vectors.filename).absolute()), vectors.dtype.str
    return MappedRows(file, kind, vectors.offset, vectors.shape, start, stop)
