"""An exact index in slices, each held by a worker of the engine."""

from collections.abc import Callable
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


class SliceSearcher:
    """Holds the index of one slice, whose first row has the id ``first``."""

    def __init__(
        self,
        rows: NDArray[Any] | Callable[[], NDArray[Any]],
        *,
        first: int,
        device: SearchDevice,
        threads: int | None,
        stored_as: str | None,
    ) -> None:
        vectors = rows() if callable(rows) else rows
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
        threads = threads or engine.threads("search")
        searcher = partial(SliceSearcher, device=device, threads=threads, stored_as=stored_as)
        self._workers = engine.hold(
            [
                partial(searcher, _portable(vectors, start, stop), first=start)
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


def _portable(
    vectors: NDArray[Any], start: int, stop: int
) -> NDArray[Any] | Callable[[], NDArray[Any]]:
    """Some rows; of a memory map how to map them elsewhere: a place to read from, no numbers."""
    rows = vectors[start:stop]
    if not isinstance(vectors, np.memmap) or vectors.filename is None:
        return rows
    # A view does not say where in the file it begins.
    if not isinstance(vectors.base, mmap) or not vectors.flags.c_contiguous:
        return rows
    file, offset = Path(vectors.filename).absolute(), vectors.offset + start * vectors.strides[0]
    return partial(np.memmap, file, vectors.dtype, "r", offset, rows.shape)
