"""The route on a GPU: torch multiplies and selects, with the results of ``Index`` to the bit.

The proof is that of fallback.py. Products of float32 numbers are exact in float64, so neither the
device nor fused multiply-adds change a bit.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gecko_kedro.retrieval.exclusions import Exclusions, checked_pairs
from gecko_kedro.retrieval.fallback import LANES, margin, sum_in_lanes
from gecko_kedro.retrieval.result import ReportProgress, SearchResult, cancellable, check_k
from gecko_kedro.retrieval.vectors import (
    MappedFile,
    as_matrix,
    check_matrix,
    check_norms,
    check_width,
    is_tensor,
    rows_in_block,
)

_QUERIES_AT_ONCE = 1024
_SCORES_AT_ONCE = 1 << 25  # 128 MB of float32
_NUMBERS_AT_ONCE = 1 << 24  # of the pairs that are rescored: 128 MB of float64
_TORCH_KINDS = {"float16": torch.float16, "float32": torch.float32, "uint16": torch.bfloat16}
_KINDS = (*_TORCH_KINDS.values(), torch.float64)


class TorchIndex:
    """Passages on a torch device, searched there exactly.

    vectors: (n, d) as ``Index`` takes them; a memory map is read block by block. device: where they
    are moved to; by default they stay where they are. stored_as: see ``Index``.
    Raises InputError as ``Index`` does.
    """

    def __init__(
        self,
        vectors: Any,
        *,
        device: torch.device | str | None = None,
        stored_as: str | None = None,
    ) -> None:
        where = "retrieval.TorchIndex, vectors"
        self.vectors = _as_tensor(vectors, where, device, stored_as)
        self._norms = _norms(self.vectors, where)

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def dimension(self) -> int:
        """Number of components of a vector."""
        return int(self.vectors.shape[1])

    def score_pairs(self, queries: Any, ids: Any) -> NDArray[np.float32]:
        """See ``Index.score_pairs``."""
        where = "retrieval.TorchIndex.score_pairs"
        rows = self._checked_queries(queries, where)
        wanted = checked_pairs(ids, where, n_queries=len(rows), n_passages=len(self))
        numbers = torch.from_numpy(wanted).to(rows.device)
        scores = torch.full(numbers.shape, -torch.inf, device=rows.device)
        owners, columns = torch.nonzero(numbers >= 0, as_tuple=True)
        scores[owners, columns] = _rescore(rows, self.vectors, owners, numbers[owners, columns])
        return scores.cpu().numpy()

    def search(
        self,
        queries: Any,
        k: int,
        *,
        exclude: Exclusions | Sequence[Any] | None = None,
        threads: int | None = None,
        progress: ReportProgress | None = None,
    ) -> SearchResult:
        """See ``Index.search``; ``threads`` is of no use here, there for the sake of one call.

        Memory on the device, besides the vectors: some 0.5 GB, and more where thousands of
        passages tie with the k-th best.
        """
        where = "retrieval.TorchIndex.search"
        rows = self._checked_queries(queries, where)
        check_k(k, where)
        excluded = Exclusions.checked(exclude, len(rows))
        norms = _norms(rows, f"{where}, queries").double()
        poll = cancellable(progress)
        scores = np.empty((len(rows), k), np.float32)
        ids = np.empty((len(rows), k), np.int64)
        with _full_precision():
            for first in range(0, len(rows), _QUERIES_AT_ONCE):
                here = slice(first, first + _QUERIES_AT_ONCE)
                best = self._best(
                    rows[here], norms[here, None], k, first=first, excluded=excluded, poll=poll
                )
                scores[here], ids[here] = (side.cpu().numpy() for side in best)
        return SearchResult(scores, ids, recall=1.0)

    def _best(
        self,
        rows: Tensor,
        norms: Tensor,
        k: int,
        *,
        first: int,
        excluded: Exclusions,
        poll: Callable[[float], None] | None,
    ) -> tuple[Tensor, Tensor]:
        """Scores and ids (q, k) of a block of queries, the first of which is query ``first``."""
        scores = torch.full((len(rows), k), -torch.inf, device=rows.device)
        ids = torch.full((len(rows), k), -1, dtype=torch.int64, device=rows.device)
        most = 2 * _NUMBERS_AT_ONCE // max(1, self.dimension)  # of passages widened to float32
        chunk = max(1, min(most, _SCORES_AT_ONCE // max(1, len(rows))))
        for start in range(0, len(self) if k else 0, chunk):
            passages = self.vectors[start : start + chunk].float()
            approximate = rows @ passages.T  # (q, d) @ (d, n) -> (q, n)
            hidden = excluded.within(first, start, approximate.shape)
            owners, columns = (torch.from_numpy(part).to(rows.device) for part in hidden)
            approximate[owners, columns] = -torch.inf
            largest = self._norms[start : start + chunk].max().double()
            threshold = _threshold(approximate, scores, margin(self.dimension, norms, largest))
            survivors = (approximate >= threshold) & (approximate > -torch.inf)
            owners, columns = torch.nonzero(survivors, as_tuple=True)
            exact = _rescore(rows, passages, owners, columns)
            scores, ids = _merge(scores, ids, exact, owners, columns + start)
            if poll is not None:
                done = first * len(self) + len(rows) * min(len(self), start + chunk)
                poll(done / ((len(excluded.offsets) - 1) * len(self)))
        return scores, ids

    def _checked_queries(self, queries: Any, where: str) -> Tensor:
        rows = _as_tensor(queries, f"{where}, queries", self.vectors.device)
        check_width(rows, where, self.dimension)
        return rows.float()


def _as_tensor(
    vectors: Any, where: str, device: torch.device | str | None, stored_as: str | None = None
) -> Tensor:
    if is_tensor(vectors):
        check_matrix(vectors, where, accepted=vectors.dtype in _KINDS)
        kept = torch.float32 if vectors.dtype == torch.float64 else vectors.dtype
        tensor: Tensor = vectors.detach().to(device=device, dtype=kept)
        return tensor
    matrix = as_matrix(vectors, where, stored_as=stored_as)
    kind = _TORCH_KINDS[matrix.dtype.name]
    moved = torch.empty(matrix.shape, dtype=kind, device=device)
    size = rows_in_block(matrix.shape[1])  # one block in memory at a time
    with MappedFile(matrix).reading():
        for start in range(0, len(matrix), size):
            rows = torch.from_numpy(np.array(matrix[start : start + size], order="C"))
            moved[start : start + size] = rows.view(kind)
    return moved


@contextmanager
def _full_precision() -> Iterator[None]:
    """Products in true float32 meanwhile: TF32 and its like have errors that ``margin`` ignores."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _norms(rows: Tensor, where: str) -> Tensor:
    """Euclidean norms (n,) float32, rounded up."""
    parts = [
        torch.linalg.vector_norm(part.double(), dim=1)
        for part in torch.split(rows, max(1, _NUMBERS_AT_ONCE // max(1, rows.shape[1])))
    ]
    norms = torch.cat(parts)
    check_norms(norms.cpu().numpy(), where)
    return norms.float() * (1 + 2.0**-22)


def _threshold(approximate: Tensor, best: Tensor, error: Tensor) -> Tensor:
    """See fallback.py; rounded down to float32 (q, 1)."""
    k = best.shape[1]
    lower = best[:, -1:].double()
    if approximate.shape[1] >= k:
        kth = torch.topk(approximate, k, dim=1).values[:, -1:].double()
        lower = torch.maximum(lower, kth - error)
    threshold = (lower - error).float()
    return torch.nextafter(threshold, torch.full_like(threshold, -torch.inf))


def _rescore(queries: Tensor, passages: Tensor, owners: Tensor, columns: Tensor) -> Tensor:
    """The exact scores of pairs (m,): what ``fallback`` gives."""
    scores = torch.empty(len(owners), device=queries.device)
    size = max(1, _NUMBERS_AT_ONCE // max(LANES, queries.shape[1]))
    for at in range(0, len(owners), size):
        part = slice(at, at + size)
        left, right = queries[owners[part]].double(), passages[columns[part]].double()
        exact = sum_in_lanes(left, right, left.new_zeros((len(left), LANES)))
        scores[part] = exact.float() + 0.0  # + 0 turns -0 to 0
    return scores


def _merge(
    scores: Tensor, ids: Tensor, found: Tensor, owners: Tensor, numbers: Tensor
) -> tuple[Tensor, Tensor]:
    """The best k of ``scores``, ``ids`` (q, k) and of what was ``found``."""
    n_queries, k = scores.shape
    rows = torch.arange(n_queries, device=scores.device)
    owner = torch.cat([rows.repeat_interleave(k), owners])
    score, number = torch.cat([scores.ravel(), found]), torch.cat([ids.ravel(), numbers])
    order = torch.sort(number, stable=True).indices  # stable sorts: the first criterion comes last
    for criterion in (-score, owner):
        order = order[torch.sort(criterion[order], stable=True).indices]
    owner, score, number = owner[order], score[order], number[order]
    rank = torch.arange(len(owner), device=owner.device) - torch.searchsorted(owner, owner)
    kept = rank < k
    return score[kept].reshape(n_queries, k), number[kept].reshape(n_queries, k)
