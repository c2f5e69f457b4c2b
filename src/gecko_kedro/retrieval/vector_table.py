"""Vectors of a table's rows, on the disk in fewer bits where that was chosen."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gecko_kedro import retrieval
from gecko_kedro.engine import Engine
from gecko_kedro.retrieval.settings import SearchDevice, VectorType
from gecko_kedro.retrieval.vectors import block, widen

# NumPy has no bfloat16: those numbers are kept as their bits.
STORED_AS: dict[str, str] = {"float32": "<f4", "float16": "<f2", "bfloat16": "<u2"}


@dataclass(frozen=True)
class VectorTable:
    """ids (n,) and the vector of each: matrix (n, d), read only, often a memory map.

    dtype: the number type; a matrix of bfloat16 has NumPy's type uint16.
    """

    ids: pl.Series
    matrix: NDArray[Any]
    dtype: VectorType

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def stored_as(self) -> str | None:
        """What ``Index`` has to be told of the matrix."""
        return "bfloat16" if self.dtype == "bfloat16" else None

    def index(self) -> retrieval.Index:
        """An exact index of these vectors, which are not copied."""
        return retrieval.Index(self.matrix, stored_as=self.stored_as)

    def sliced_index(
        self, engine: Engine, *, threads: int | None, device: SearchDevice
    ) -> retrieval.SlicedIndex:
        """The same index in slices, which the search workers of ``engine`` hold."""
        return retrieval.SlicedIndex(
            self.matrix, engine=engine, threads=threads, device=device, stored_as=self.stored_as
        )

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        """Vectors ``start`` to ``stop`` as float32, C-contiguous, in memory."""
        return np.array(block(self.matrix, start, stop))

    def blocks(self, size: int, *, most: int | None = None) -> Iterator[NDArray[np.float32]]:
        """All vectors, ``size`` at a time, as float32; with ``most`` that many, evenly spread."""
        n = len(self)
        if most is None or most >= n:
            for start in range(0, n, size):
                yield block(self.matrix, start, start + size)
            return
        chosen = np.arange(most) * n // most
        for start in range(0, most, size):
            yield np.ascontiguousarray(widen(self.matrix[chosen[start : start + size]]))


def narrowed(vectors: NDArray[np.float32], dtype: VectorType) -> NDArray[Any]:
    """Float32 vectors as they are stored, rounded to the nearest number, ties to even."""
    if dtype == "bfloat16":
        import torch

        rounded = torch.tensor(vectors).to(torch.bfloat16)
        return rounded.view(torch.uint16).numpy()
    return vectors.astype(STORED_AS[dtype])
