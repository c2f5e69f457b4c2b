"""All terms of a training loss, summed over the Matryoshka dimensions."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from gecko_kedro.training.losses.distillation import distillation_loss
from gecko_kedro.training.losses.embedded import Rows, Vectors
from gecko_kedro.training.losses.spread_out import spread_out

Contrastive = Callable[[Vectors, Rows], Tensor]


@dataclass(frozen=True)
class Objective:
    """``contrastive`` + spread_out_weight * spread-out + distillation_weight * KL, at each size.

    The vectors are cut to each of ``dimensions``, normalised again, and the losses added up with
    equal weights (Kusupati et al. 2022; Gecko, section 3.4).
    """

    contrastive: Contrastive
    dimensions: tuple[int, ...]
    temperature: float
    spread_out_weight: float = 0.0
    distillation_weight: float = 0.0
    teacher_temperature: float = 1.0

    def at_each_dimension(self, columns: list[Tensor], rows: Rows) -> Iterator[Tensor]:
        """One scalar a dimension; ``columns`` as in ``Vectors``, not normalised, (n, width)."""
        for dimension in self.dimensions:
            with torch.autocast(columns[0].device.type, enabled=False):
                vectors = Vectors.exact(columns, dimension)
                loss = self.contrastive(vectors, rows)
                if self.spread_out_weight:
                    loss = loss + self.spread_out_weight * spread_out(vectors)
                if self.distillation_weight:
                    loss = loss + self.distillation_weight * distillation_loss(
                        vectors,
                        rows,
                        temperature=self.temperature,
                        teacher_temperature=self.teacher_temperature,
                    )
            yield loss

    def __call__(self, columns: list[Tensor], rows: Rows) -> Tensor:
        """The sum over the dimensions, a scalar."""
        return torch.stack(list(self.at_each_dimension(columns, rows))).sum()
