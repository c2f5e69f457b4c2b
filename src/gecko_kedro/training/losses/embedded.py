"""What a loss reads: the vectors of a batch and what is known of its rows, in all processes."""

from dataclasses import dataclass, fields

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Rows:
    """What is known of the n rows of a batch besides their vectors. Equal text, equal id.

    A row has any number of own negatives; those of all rows lie behind each other, m in all.
    """

    query: Tensor  # (n,) int64: id of the query's text
    positive: Tensor  # (n,) int64
    label: Tensor  # (n,) int64: class of the row, -1 for none
    known: Tensor  # (n, k) int64: ids of all known positives of the query, filled with -1
    negative: Tensor  # (m,) int64: id of each negative's text
    owner: Tensor  # (m,) int64: the row that the negative belongs to, ascending
    rank: Tensor  # (m,) int64: which of its row's negatives it is, from 0
    teacher: Tensor  # (n, 1 + most) float64: scores of the positive and the negatives, NaN: none

    @classmethod
    def distinct(cls, n: int, counts: list[int] | None = None) -> "Rows":
        """Rows that share no text and have no label, with ``counts`` negatives each."""
        counts = [0] * n if counts is None else counts
        m = sum(counts)
        return cls(
            query=torch.arange(n),
            positive=torch.arange(n, 2 * n),
            label=torch.full((n,), -1),
            known=torch.empty((n, 0), dtype=torch.int64),
            negative=torch.arange(2 * n, 2 * n + m),
            owner=torch.repeat_interleave(torch.arange(n), torch.tensor(counts)),
            rank=torch.tensor([rank for count in counts for rank in range(count)]).long(),
            teacher=torch.empty((n, 0), dtype=torch.float64),
        )


@dataclass(frozen=True)
class Vectors:
    """L2-normalised vectors: queries and positives (n, d), the rows' negatives (m, d)."""

    queries: Tensor
    positives: Tensor
    negatives: Tensor

    @classmethod
    def exact(cls, columns: list[Tensor], dimension: int | None = None) -> "Vectors":
        """The first ``dimension`` numbers of each vector, normalised, in float32 at least.

        bfloat16 keeps 8 bits: at temperature 0.02 a logit would be wrong by 0.2.
        """
        exact = torch.promote_types(columns[0].dtype, torch.float32)
        unit = [F.normalize(column.to(exact)[:, :dimension], dim=1) for column in columns]
        if len(unit) == 2:
            unit.append(unit[0][:0])
        return cls(*unit)


def by_row(values: Tensor, rows: Rows, *, fill: float) -> Tensor:
    """``values`` (m,), one for each negative, as (n, most negatives of a row)."""
    most = int(rows.rank.max()) + 1 if len(rows.rank) else 0
    table = values.new_full((len(rows.query), most), fill)
    return table.index_put((rows.owner, rows.rank), values)


def gather_batch(columns: list[Tensor], rows: Rows) -> tuple[list[Tensor], Rows]:
    """Queries, positives and negatives of all processes behind each other, in the order of ranks.

    ``columns`` are this process's slice of the batch, as in ``Vectors``; processes may have
    different numbers of rows and negatives. The gradient goes to the own slice alone. A loss on
    the result is that of the whole batch: every process computes all of it, which is little beside
    embedding, so that each mask and term is that of one process. Its gradient with respect to the
    own slice is exact, and ``whole_batch_gradient`` undoes the mean that DDP takes.
    """
    exact = torch.promote_types(columns[0].dtype, torch.float32)
    vectors = [column.to(exact) for column in columns]
    if len(vectors) == 2:
        vectors.append(vectors[0][:0])
    n, m = _counts(len(rows.query), vectors[0].device), _counts(len(rows.owner), vectors[0].device)
    fills = {"known": -1, "teacher": float("nan")}
    gathered: dict[str, Tensor] = {}
    for field in fields(Rows):
        values: Tensor = getattr(rows, field.name)
        if field.name in fills:  # as many columns as the widest of all processes
            missing = max(_counts(values.shape[1], values.device)) - values.shape[1]
            values = F.pad(values, (0, missing), value=fills[field.name])
        parts = gather(values, m if field.name in {"negative", "owner", "rank"} else n)
        if field.name == "owner":
            parts = [own + sum(n[:rank]) for rank, own in enumerate(parts)]
        gathered[field.name] = torch.cat(parts)
    columns = [torch.cat(gather(v, k)) for v, k in zip(vectors, (n, n, m), strict=True)]
    return columns, Rows(**gathered)


def gather(values: Tensor, counts: list[int]) -> list[Tensor]:
    """``values`` of each process, ``counts`` rows; this process's own is the tensor itself."""
    padded = values.detach().new_zeros((max(counts), *values.shape[1:]))
    padded[: len(values)] = values.detach()
    parts = [torch.empty_like(padded) for _ in counts]
    if padded.numel():
        dist.all_gather(parts, padded)
    found = [part[:count] for part, count in zip(parts, counts, strict=True)]
    found[dist.get_rank()] = values
    return found


def whole_batch_gradient(loss: Tensor) -> Tensor:
    """The same value, with a gradient as many times as large as there are processes.

    DDP takes the mean of the processes' gradients; each has that of its own rows, which add up.
    """
    return loss.detach() + dist.get_world_size() * (loss - loss.detach())


def _counts(own: int, device: torch.device) -> list[int]:
    parts = [torch.empty(1, dtype=torch.int64, device=device) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, torch.tensor([own], device=device))
    return [int(part) for part in parts]
