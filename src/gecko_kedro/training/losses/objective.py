"""All terms of a training loss, summed over the Matryoshka dimensions."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from sentence_transformers.sentence_transformer.losses import GlobalOrthogonalRegularizationLoss
from torch import Tensor

from gecko_kedro.training.losses.distillation import distillation_loss
from gecko_kedro.training.losses.embedded import Rows, Vectors

Contrastive = Callable[[Vectors, Rows], Tensor]

# The spread-out regulariser as EmbeddingGemma has it (arXiv 2509.20354): the second moment alone,
# of queries and of positives, added up. Its model only embeds, which is done here already.
_SPREAD_OUT = GlobalOrthogonalRegularizationLoss(None, mean_weight=None, aggregation="sum")  # type: ignore[arg-type]


@dataclass(frozen=True)
class Objective:
    """``contrastive`` + spread_out * regulariser + distillation * KL, at each dimension.

    The vectors are cut to each of ``dimensions``, normalised again, and the losses added up with
    equal weights (Kusupati et al. 2022; Gecko, section 3.4).
    """

    contrastive: Contrastive
    dimensions: tuple[int, ...]
    temperature: float
    spread_out: float = 0.0
    distillation: float = 0.0
    teacher_temperature: float = 1.0

    def at_each_dimension(self, columns: list[Tensor], rows: Rows) -> Iterator[Tensor]:
        """One scalar a dimension; ``columns`` as in ``Vectors``, not normalised, (n, width)."""
        for dimension in self.dimensions:
            with torch.autocast(columns[0].device.type, enabled=False):
                vectors = Vectors.exact(columns, dimension)
                loss = self.contrastive(vectors, rows)
                if self.spread_out:
                    loss = loss + self.spread_out * spread_out(vectors)
                if self.distillation:
                    loss = loss + self.distillation * distillation_loss(
                        vectors,
                        rows,
                        temperature=self.temperature,
                        teacher_temperature=self.teacher_temperature,
                    )
            yield loss

    def __call__(self, columns: list[Tensor], rows: Rows) -> Tensor:
        """The sum over the dimensions, a scalar."""
        return torch.stack(list(self.at_each_dimension(columns, rows))).sum()


def spread_out(vectors: Vectors) -> Tensor:
    """A scalar: how far the second moment of the rows' inner products is above 1/d, if it is."""
    terms = _SPREAD_OUT.compute_loss_from_embeddings([vectors.queries, vectors.positives])
    return terms["gor_second_moment"]
