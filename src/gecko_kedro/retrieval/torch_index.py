"""The route on a GPU: torch multiplies and selects, with the results of ``Index`` to the bit.

The proof is that of fallback.py. A product in float32, chunk by chunk, is a filter with a known
error; what could still be among the best is scored in float64 in the order of summation that
defines a score. Products of float32 numbers are exact in float64, so neither the device nor fused
multiply-adds change a bit.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gecko_kedro.base.errors import InputError
from gecko_kedro.retrieval.exclusions import Exclusions, as_ids
from gecko_kedro.retrieval.fallback import LANES, SMALLEST_NORMAL, slack
from gecko_kedro.retrieval.mapping import MappedFile, reading
from gecko_kedro.retrieval.result import ReportProgress, SearchResult, cancellable, check_k
from gecko_kedro.retrieval.vectors import LARGEST_NORM, as_matrix, is_tensor, rows_in_block

_QUERIES_AT_ONCE = 1024
_SCORES_AT_ONCE = 1 << 25  # 128 MB of float32
_NUMBERS_AT_ONCE = 1 << 24  # of the pairs that are rescored: 128 MB of float64
_TORCH_KINDS = {"float16": torch.float16, "float32": torch.float32, "uint16": torch.bfloat16}
_KINDS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


class TorchIndex:
    """Passages on a torch device, searched there exactly.

    vectors: (n, d) float16, bfloat16, float32 or float64 (rounded to float32), a tensor or an
    array, also a memory map, which is read block by block. device: where they are moved to; by
    default they stay where they are. stored_as: see ``Index``.

    Raises InputError for another shape or type, and for NaN, infinity or a norm above 1e18, with
    the row number.
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
        wanted = torch.as_tensor(as_ids(ids, f"{where}, ids"))
        if wanted.ndim != 2 or len(wanted) != len(rows) or bool((wanted >= len(self)).any()):
            raise InputError(
                f"{where}, ids",
                expected=f"{len(rows)} rows of ids below {len(self)}",
                got=f"shape {tuple(wanted.shape)}",
                fix="Give one row of ids for each query, -1 where there is none.",
            )
        wanted = wanted.to(rows.device)
        scores = torch.full(wanted.shape, -torch.inf, device=rows.device)
        owners, columns = torch.nonzero(wanted >= 0, as_tuple=True)
        scores[owners, columns] = _rescore(rows, self.vectors, owners, wanted[owners, columns])
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
        norms = _norms(rows, f"{where}, queries")
        poll = None if progress is None else cancellable(progress)
        found = []
        with _full_precision():
            for first in range(0, len(rows), _QUERIES_AT_ONCE):
                here = slice(first, first + _QUERIES_AT_ONCE)
                share = (first, len(rows))
                found.append(
                    self._best(
                        rows[here], norms[here], k, excluded=excluded, share=share, poll=poll
                    )
                )
        scores = [part[0].cpu().numpy() for part in found] or [np.empty((0, k), np.float32)]
        ids = [part[1].cpu().numpy() for part in found] or [np.empty((0, k), np.int64)]
        return SearchResult(np.concatenate(scores), np.concatenate(ids), recall=1.0)

    def _best(
        self,
        rows: Tensor,
        norms: Tensor,
        k: int,
        *,
        excluded: Exclusions,
        share: tuple[int, int],
        poll: Callable[[float], None] | None,
    ) -> tuple[Tensor, Tensor]:
        """Scores and ids (q, k) of a block of queries, the first of which is query ``share[0]``."""
        first, total = share
        scores = torch.full((len(rows), k), -torch.inf, device=rows.device)
        ids = torch.full((len(rows), k), -1, dtype=torch.int64, device=rows.device)
        most = 2 * _NUMBERS_AT_ONCE // max(1, self.dimension)  # of passages widened to float32
        chunk = max(1, min(most, _SCORES_AT_ONCE // max(1, len(rows))))
        for start in range(0, len(self) if k else 0, chunk):
            passages = self.vectors[start : start + chunk].float()
            approximate = rows @ passages.T  # (q, d) @ (d, n) -> (q, n)
            _exclude(approximate, excluded, first, start)
            margin = slack(self.dimension) * norms[:, None].double()
            margin = margin * self._norms[start : start + chunk].max().double()
            margin += 64 * SMALLEST_NORMAL * (self.dimension + 1)
            threshold = _threshold(approximate, scores, margin)
            survivors = (approximate >= threshold) & (approximate > -torch.inf)
            owners, columns = torch.nonzero(survivors, as_tuple=True)
            exact = _rescore(rows, passages, owners, columns)
            scores, ids = _merge(scores, ids, exact, owners, columns + start)
            if poll is not None:
                done = first * len(self) + len(rows) * min(len(self), start + chunk)
                poll(done / (total * len(self)))
        return scores, ids

    def _checked_queries(self, queries: Any, where: str) -> Tensor:
        rows = _as_tensor(queries, f"{where}, queries", self.vectors.device)
        if rows.shape[1] != self.dimension:
            raise InputError(
                f"{where}, queries",
                expected=f"{self.dimension} columns like the index",
                got=tuple(rows.shape),
                fix="Encode queries and passages with one model and one dimension.",
            )
        return rows.float()


def _as_tensor(
    vectors: Any, where: str, device: torch.device | str | None, stored_as: str | None = None
) -> Tensor:
    if not is_tensor(vectors):
        return _moved(as_matrix(vectors, where, stored_as=stored_as), device)
    if vectors.ndim != 2 or vectors.dtype not in _KINDS:
        raise InputError(
            where,
            expected="a matrix (rows, dimension) of float16, bfloat16, float32 or float64",
            got=f"shape {tuple(vectors.shape)} of {vectors.dtype}",
            fix="Give one row per text, converted with .float().",
        )
    kept = torch.float32 if vectors.dtype == torch.float64 else vectors.dtype
    moved: Tensor = vectors.detach().to(device=device, dtype=kept)
    return moved


def _moved(matrix: NDArray[Any], device: torch.device | str | None) -> Tensor:
    """A matrix of ``as_matrix`` on ``device``, by way of one block in memory at a time."""
    kind = _TORCH_KINDS[matrix.dtype.name]
    moved = torch.empty(matrix.shape, dtype=kind, device=device)
    size = rows_in_block(matrix.shape[1])
    with reading(MappedFile.behind(matrix)):
        for start in range(0, len(matrix), size):
            rows = torch.from_numpy(np.array(matrix[start : start + size], order="C"))
            moved[start : start + size] = rows.view(kind)
    return moved


@contextmanager
def _full_precision() -> Iterator[None]:
    """Products in true float32 meanwhile: TF32 and its like have errors that ``slack`` ignores."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _norms(rows: Tensor, where: str) -> Tensor:
    """Euclidean norms (n,) float32, rounded up."""
    size = max(1, _NUMBERS_AT_ONCE // max(1, rows.shape[1]))
    parts = [
        torch.linalg.vector_norm(rows[start : start + size].double(), dim=1)
        for start in range(0, len(rows), size)
    ]
    norms = torch.cat([*parts, rows.new_empty(0, dtype=torch.float64)])
    refused = ~(norms <= LARGEST_NORM)
    if bool(refused.any()):
        row = int(refused.int().argmax())
        raise InputError(
            f"{where}, row {row}",
            expected="finite numbers and a norm of at most 1e18",
            got=f"norm {float(norms[row])}",
            fix="Look at the text of this row and at the model that made the vector.",
        )
    return norms.float() * (1 + 2.0**-22)


def _exclude(approximate: Tensor, excluded: Exclusions, first: int, start: int) -> None:
    offsets = excluded.offsets[first : first + len(approximate) + 1]
    ids = excluded.ids[offsets[0] : offsets[-1]] - start
    owners = np.repeat(np.arange(len(approximate)), np.diff(offsets))
    inside = (ids >= 0) & (ids < approximate.shape[1])
    places = [torch.from_numpy(part[inside]).to(approximate.device) for part in (owners, ids)]
    approximate[places[0], places[1]] = -torch.inf


def _threshold(approximate: Tensor, best: Tensor, margin: Tensor) -> Tensor:
    """See fallback.py; rounded down to float32 (q, 1)."""
    k = best.shape[1]
    lower = best[:, -1:].double()
    if approximate.shape[1] >= k:
        kth = torch.topk(approximate, k, dim=1).values[:, -1:].double()
        lower = torch.maximum(lower, kth - margin)
    threshold = (lower - margin).float()
    return torch.nextafter(threshold, torch.full_like(threshold, -torch.inf))


def _rescore(queries: Tensor, passages: Tensor, owners: Tensor, columns: Tensor) -> Tensor:
    """The exact scores of pairs (m,): what fallback.exact_scores gives."""
    scores = torch.empty(len(owners), device=queries.device)
    size = max(1, _NUMBERS_AT_ONCE // max(LANES, queries.shape[1]))
    for at in range(0, len(owners), size):
        left = queries[owners[at : at + size]].double()
        right = passages[columns[at : at + size]].double()
        lanes = left.new_zeros((len(left), LANES))
        for start in range(0, left.shape[1], LANES):
            products = left[:, start : start + LANES] * right[:, start : start + LANES]
            lanes[:, : products.shape[1]] += products
        while lanes.shape[1] > 1:
            half = lanes.shape[1] // 2
            lanes = lanes[:, :half] + lanes[:, half:]
        scores[at : at + size] = lanes[:, 0].float() + 0.0  # + 0 turns -0 to 0
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
