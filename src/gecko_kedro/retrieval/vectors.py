"""What comes in as vectors is a finite float matrix, in memory or mapped, or is refused."""

import mmap
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gecko_kedro.base.errors import InputError
from gecko_kedro.retrieval.levels import extension, simd_level

_ACCEPTED = (np.float16, np.float32, np.float64)
_LARGEST_NORM = 1e18  # a product of two norms stays far below the largest float32, 3.4e38
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
    accepted = (bits or matrix.dtype.type in _ACCEPTED) and matrix.dtype.isnative
    check_matrix(matrix, where, accepted=accepted)
    return matrix.astype(np.float32) if matrix.dtype == np.float64 else matrix


def check_matrix(matrix: Any, where: str, *, accepted: bool) -> None:
    """Raise InputError where this is no matrix, or its number type is not ``accepted``."""
    if matrix.ndim != 2 or not accepted:
        raise InputError(
            where,
            expected="a matrix (rows, dimension) of float16, bfloat16, float32 or float64",
            got=f"shape {tuple(matrix.shape)} of {matrix.dtype}",
            fix="Give one row per text, converted with .astype('float32').",
        )


def check_width(rows: Any, where: str, dimension: int) -> None:
    """Raise InputError for queries of another number of columns than the index has."""
    if rows.shape[1] != dimension:
        raise InputError(
            f"{where}, queries",
            expected=f"{dimension} columns like the index",
            got=tuple(rows.shape),
            fix="Encode queries and passages with one model and one dimension.",
        )


def check_norms(norms: NDArray[Any], where: str) -> None:
    """Raise InputError for NaN, infinity and norms above 1e18, with the row number."""
    refused = ~(norms <= _LARGEST_NORM)
    if refused.any():
        row = int(np.argmax(refused))
        raise InputError(
            f"{where}, row {row}",
            expected="finite numbers and a norm of at most 1e18",
            got=f"norm {norms[row]}",
            fix="Look at the text of this row and at the model that made the vector.",
        )


def measure_norms(matrix: NDArray[Any], where: str) -> NDArray[np.float32]:
    """Euclidean norm of each row, rounded up (n,); refuses what ``check_norms`` refuses."""
    level = simd_level()
    core = extension(level)
    norms: NDArray[np.float32]
    norms = _norms(matrix) if core is None else core.measure_norms(matrix, level)
    check_norms(norms, where)
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


class MappedFile:
    """The file behind an array, if it is a view of one.

    Reading a mapped page that its file has lost ends a process with SIGBUS. So its length is
    compared with the mapping before, during and after each use.
    """

    def __init__(self, array: NDArray[Any]) -> None:
        base: Any = array
        self._name, start = "memory-mapped file", 0
        while isinstance(base, np.ndarray | memoryview):
            if isinstance(base, np.memmap):
                self._name, start = str(base.filename or self._name), base.offset
            base = base.base if isinstance(base, np.ndarray) else base.obj
        self._mapping = base if isinstance(base, mmap.mmap) and _has_file(base) else None
        self._torn = False
        if self._mapping is not None:
            self._needs = start - start % mmap.ALLOCATIONGRANULARITY + len(self._mapping)

    def __bool__(self) -> bool:
        return self._mapping is not None

    def check(self) -> None:
        """Raise InputError where the file is shorter than its mapping, or ever was."""
        if self._mapping is None:
            return
        size = self._mapping.size()
        self._torn = self._torn or size < self._needs
        if self._torn:
            raise InputError(
                self._name,
                expected=f"a file that keeps its {self._needs} bytes while an index uses it",
                got=f"{size} bytes, or less for a while",
                fix="Write the file anew under another name, rename it, and open the index again.",
            )

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Check before the block and after it."""
        self.check()
        yield
        self.check()

    def checking(self, poll: Callable[[float], None] | None) -> Callable[[float], None] | None:
        """``poll`` with a check before it, so that a long search ends soon."""
        if self._mapping is None:
            return poll

        def checked(share: float) -> None:
            self.check()
            if poll is not None:
                poll(share)

        return checked


def _has_file(mapping: mmap.mmap) -> bool:
    try:
        mapping.size()
    except OSError:  # shared memory
        return False
    return True
