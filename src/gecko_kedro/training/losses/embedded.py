"""What a loss reads: the vectors of a batch and what is known of its rows."""

from dataclasses import dataclass

import torch
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
