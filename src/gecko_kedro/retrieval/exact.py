"""Exact search on the device that there is and over the engine's workers: always the same bits."""

import logging
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from mmap import mmap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gecko_kedro.base.errors import InputError
from gecko_kedro.retrieval.index import Index
from gecko_kedro.retrieval.result import SearchResult, merge_results
from gecko_kedro.retrieval.settings import SearchDevice
from gecko_kedro.retrieval.vectors import as_matrix, is_tensor

if TYPE_CHECKING:
    from gecko_kedro.engine import Engine  # needs polars, which no search needs
    from gecko_kedro.retrieval.torch_index import TorchIndex

logger = logging.getLogger(__name__)
_SCRATCH_BYTES = 1 << 30  # what TorchIndex takes besides the vectors, with room to spare


def open_exact(
    vectors: Any, *, device: SearchDevice = "auto", stored_as: str | None = None
) -> "Index | TorchIndex":
    """Passages (n, d) ready for ``search`` and ``score_pairs``.

    device: ``cpu`` is ``Index``, ``cuda`` is ``TorchIndex`` on the current GPU. ``auto`` takes the
    GPU where there is one with enough free memory for the vectors, and says in the log which of
    the two it took. stored_as: see ``Index``.
    Raises InputError for ``cuda`` without a GPU that has the room, and as the two classes do.
    """
    if device == "cpu":
        return Index(vectors, stored_as=stored_as)
    where = "retrieval.open_exact, vectors"
    matrix = vectors if is_tensor(vectors) else as_matrix(vectors, where, stored_as=stored_as)
    obstacle = _obstacle(matrix.nbytes)
    if obstacle is None:
        from gecko_kedro.retrieval.torch_index import TorchIndex

        logger.info("a GPU searches %d vectors", len(matrix))
        return TorchIndex(vectors, device="cuda", stored_as=stored_as)
    if device == "cuda":
        raise InputError(
            "retrieval.open_exact, device",
            expected="a CUDA GPU that has the memory for the vectors",
            got=obstacle,
            fix="Use 'auto' or 'cpu': the results are the same bits.",
        )
    logger.info("the CPU searches %d vectors: %s", len(matrix), obstacle)
    return Index(vectors, stored_as=stored_as)


def _obstacle(n_bytes: int) -> str | None:
    """Why a GPU cannot hold vectors of so many bytes; None where it can."""
    import torch

    if not torch.cuda.is_available():
        return "no CUDA GPU was found"
    free, _ = torch.cuda.mem_get_info()
    needed = n_bytes + _SCRATCH_BYTES
    if needed > free:
        return f"{needed / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB are free on the GPU"
    return None


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
