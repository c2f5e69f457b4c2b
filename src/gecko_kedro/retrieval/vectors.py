"""Checks at the border: what comes in as vectors is a finite float matrix, or is refused."""

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gecko_kedro.base.errors import InputError
from gecko_kedro.retrieval.levels import extension, simd_level

_ACCEPTED = (np.float16, np.float32, np.float64)
LARGEST_NORM = 1e18  # a product of two norms stays far below the largest float32, 3.4e38
_BLOCK_BYTES = 8 << 20
_ROUND_UP = np.float32(1 + 2.0**-22)


def as_matrix(vectors: Any, where: str, *, stored_as: str | None = None) -> NDArray[Any]:
    """``vectors`` as a 2-D NumPy array, without a copy where it is one of 16 or 32 bits.

    NumPy has no bfloat16: those numbers (of a torch tensor, an array of ml_dtypes, or an array of
    uint16 with ``stored_as="bfloat16"``) come back as their bits, uint16, which ``widen`` reads.
    """
    matrix, bits = _as_array(vectors)
    if stored_as is not None:
        if stored_as != "bfloat16" or (matrix.dtype != np.uint16):
            raise InputError(
                f"{where}, stored_as",
                expected="'bfloat16' with a matrix of uint16",
                got=f"{stored_as!r} with a matrix of {matrix.dtype}",
                fix="Leave it out for other numbers than the bare bits of bfloat16.",
            )
        bits = True
    accepted = bits or matrix.dtype.type in _ACCEPTED
    if matrix.ndim != 2 or not accepted or not matrix.dtype.isnative:
        raise InputError(
            where,
            expected="a matrix (rows, dimension) of float16, bfloat16, float32 or float64",
            got=f"shape {matrix.shape} of {matrix.dtype}",
            fix="Give one row per text, converted with .astype('float32').",
        )
    return matrix.astype(np.float32) if matrix.dtype == np.float64 else matrix


def _as_array(vectors: Any) -> tuple[NDArray[Any], bool]:
    """Whatever holds numbers as an array, and whether these are the bits of bfloat16."""
    if is_tensor(vectors):
        import torch

        tensor = vectors.detach().cpu()
        if tensor.dtype == torch.bfloat16:
            return tensor.view(torch.uint16).numpy(), True
        return tensor.numpy(), False
    array = np.asarray(vectors)
    if array.dtype.name == "bfloat16":  # registered by ml_dtypes
        return array.view(np.uint16), True
    return array, False


def is_tensor(vectors: Any) -> bool:
    """Whether this is a tensor of torch, which need not be imported to know."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(vectors, torch.Tensor)


def widen(numbers: NDArray[Any]) -> NDArray[np.float32]:
    """Stored numbers of any kind as float32, exactly; no copy of what is float32 already."""
    if numbers.dtype == np.uint16:
        bits = numbers.astype(np.uint32) << 16
        return bits.view(np.float32)
    return numbers.astype(np.float32, copy=False)


def rows_in_block(dimension: int) -> int:
    """How many float32 rows of ``dimension`` make one block of about 8 MB."""
    return max(1, _BLOCK_BYTES // (4 * max(1, dimension)))


def block(matrix: NDArray[Any], start: int, stop: int) -> NDArray[np.float32]:
    """Rows ``start`` to ``stop`` as C-contiguous float32; a copy only where needed."""
    return np.ascontiguousarray(widen(matrix[start:stop]))


def measure_norms(matrix: NDArray[Any], where: str) -> NDArray[np.float32]:
    """Euclidean norm of each row, rounded up (n,); refuses NaN, infinity and norms above 1e18."""
    level = simd_level()
    core = extension(level)
    norms: NDArray[np.float32]
    norms = _norms(matrix) if core is None else core.measure_norms(matrix, level)
    refused = ~(norms <= LARGEST_NORM)
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
