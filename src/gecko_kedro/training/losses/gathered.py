"""The whole batch in every process: what the others have embedded, beside one's own."""

import torch
import torch.distributed as dist
from torch import Tensor

from gecko_kedro.training.losses.embedded import Rows


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
    starts = [sum(n[:rank]) for rank in range(len(n))]
    owners = gather(rows.owner, m)
    gathered = Rows(
        query=torch.cat(gather(rows.query, n)),
        positive=torch.cat(gather(rows.positive, n)),
        label=torch.cat(gather(rows.label, n)),
        known=torch.cat(gather(_widened(rows.known, -1), n)),
        negative=torch.cat(gather(rows.negative, m)),
        owner=torch.cat([own + start for own, start in zip(owners, starts, strict=True)]),
        rank=torch.cat(gather(rows.rank, m)),
        teacher=torch.cat(gather(_widened(rows.teacher, float("nan")), n)),
    )
    sizes = (n, n, m)
    return [torch.cat(gather(v, size)) for v, size in zip(vectors, sizes, strict=True)], gathered


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


def _widened(table: Tensor, fill: float) -> Tensor:
    """``table`` (n, k) with as many columns as the widest of all processes."""
    widest = max(_counts(table.shape[1], table.device))
    return torch.nn.functional.pad(table, (0, widest - table.shape[1]), value=fill)
