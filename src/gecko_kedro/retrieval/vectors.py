"""Checks at the border: what comes in as vectors is a finite float matrix, or is refused."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gecko_kedro.errors import InputError
from gecko_kedro.retrieval.levels import extension, simd_level

_ACCEPTED = (np.float16, np.float32, np.float64)
_LARGEST_NORM = 1e18  # a product of two norms stays far below the largest float32, 3.4e38
_BLOCK_BYTES = 8 << 20
_ROUND_UP = np.float32(1 + 2.0**-22)


def as_matrix(vectors: Any, where: str) -> NDArray[Any]:
    """``vectors`` as a 2-D NumPy array, without a copy where it is one of float16 or float32."""
    matrix = np.asarray(vectors)
    if matrix.ndim != 2 or matrix.dtype.type not in _ACCEPTED or not matrix.dtype.isnative:
        raise InputError(
            where,
            expected="a matrix (rows, dimension) of float16, float32 or float64",
            got=f"shape {matrix.shape} of {matrix.dtype}",
            fix="Give one row per text, converted with .astype('float32').",
        )
    return matrix.astype(np.float32) if matrix.dtype == np.float64 else matrix


def rows_in_block(dimension: int) -> int:
    """How many float32 rows of ``dimension`` make one block of about 8 MB."""
    return max(1, _BLOCK_BYTES // (4 * max(1, dimension)))


def block(matrix: NDArray[Any], start: int, stop: int) -> NDArray[np.float32]:
    """Rows ``start`` to ``stop`` as C-contiguous float32; a copy only where needed."""
    return np.ascontiguousarray(matrix[start:stop], dtype=np.float32)


def measure_norms(matrix: NDArray[Any], where: str) -> NDArray[np.float32]:
    """Euclidean norm of each row, rounded up (n,); refuses NaN, infinity and norms above 1e18."""
    level = simd_level()
    core = extension(level)
    norms: NDArray[np.float32]
    norms = _norms(matrix) if core is None else core.measure_norms(matrix, level)
    refused = ~(norms <= _LARGEST_NORM)
    if refused.any():
        row = int(np.argmax(refused))
        raise InputError(
            f"{where}, row {row}",
            expected="finite numbers and a norm of at most 1e18",
            got=f"norm {norms[row]}",
            fix="Look at the text of this row and at the model that made the vector.",
        )
    return norms


def _norms(matrix: NDArray[Any]) -> NDArray[np.float32]:
    norms = np.empty(matrix.shape[0], dtype=np.float32)
    size = rows_in_block(matrix.shape[1])
    for start in range(0, matrix.shape[0], size):
        rows = block(matrix, start, start + size).astype(np.float64)
        exact = np.sqrt(np.einsum("nd,nd->n", rows, rows))
        with np.errstate(over="ignore"):  # to infinity, which is refused
            norms[start : start + size] = exact.astype(np.float32) * _ROUND_UP
    return norms
