"""Types of the compiled module (csrc/bindings.cc); ``help(gecko_kedro._core)`` has the rest.

A matrix of vectors is float32, float16, or uint16 for the bits of bfloat16.
"""

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

_Matrix: TypeAlias = NDArray[np.float32] | NDArray[np.float16] | NDArray[np.uint16]
_Progress: TypeAlias = Callable[[float], object] | None
_Strategy: TypeAlias = Literal["top", "random", "last"]

def available_levels() -> list[str]: ...
def byte_levels() -> list[str]: ...
def bfloat16_levels() -> list[str]: ...
def most_packed_queries(level: str) -> int: ...
def amx_refusal() -> str: ...

class PackedPassages:
    @property
    def nbytes(self) -> int: ...
    @property
    def rows(self) -> int: ...
    def extend(self, passages: _Matrix, threads: int) -> None: ...
    def parts(self) -> dict[str, NDArray[Any]]: ...

def pack(passages: _Matrix, level: str, threads: int) -> PackedPassages: ...
def adopt(
    rows: int,
    columns: int,
    level: str,
    words: NDArray[np.int32],
    offsets: NDArray[np.int32],
    scales: NDArray[np.float32],
    residuals: NDArray[np.float32],
    norms: NDArray[np.float32],
) -> PackedPassages: ...
def measure_norms(rows: _Matrix, level: str) -> NDArray[np.float32]: ...
def score_pairs(
    queries: _Matrix, passages: _Matrix, ids: NDArray[np.int64], level: str
) -> NDArray[np.float32]: ...

class Search:
    def __init__(
        self,
        queries: _Matrix,
        query_norms: NDArray[np.float32],
        passages: _Matrix,
        passage_norms: NDArray[np.float32],
        k: int,
        exclude_offsets: NDArray[np.int64],
        exclude_ids: NDArray[np.int64],
        level: str,
        first_pass: str,
        packed: PackedPassages | None,
        certified: bool,
    ) -> None: ...
    def run(
        self, threads: int, progress: _Progress
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]: ...
    def mine_negatives(
        self,
        positive_offsets: NDArray[np.int64],
        positive_ids: NDArray[np.int64],
        query_ids: NDArray[np.uint64],
        n_negatives: int,
        strategy: _Strategy,
        seed: int,
        rank_window: tuple[int, int],
        max_score: float | None,
        min_score: float | None,
        absolute_margin: float | None,
        relative_margin: float | None,
        threads: int,
        progress: _Progress,
    ) -> tuple[NDArray[np.int64], NDArray[np.float32], list[int]]: ...

def sample_negatives(
    candidates: NDArray[np.int64],
    eligible: NDArray[np.bool_],
    n_negatives: int,
    strategy: _Strategy,
    seed: int,
    query_ids: NDArray[np.uint64],
) -> NDArray[np.int64]: ...
