"""The pre-finetuning loss: in-batch softmax from query to passage (Gecko's equation 2)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from gecko_kedro.training.losses.embedded import Rows, Vectors
from gecko_kedro.training.losses.masks import NO_MASKS, other_positives, too_near
from gecko_kedro.training.settings import MaskSettings


@dataclass(frozen=True)
class InBatchLoss:
    r"""The mean over a batch of n pairs of

    .. math:: -\log \frac{e^{s(q_i, p_i)/\tau}}{\sum_{j=1}^{n} e^{s(q_i, p_j)/\tau}}

    with s the cosine. Source: arXiv 2403.20327, equation 2. One direction, no hard negatives:
    ``vectors.negatives`` is not read. ``masks`` leave terms j != i out.
    """

    temperature: float
    masks: MaskSettings = NO_MASKS

    def __call__(self, vectors: Vectors, rows: Rows) -> Tensor:
        """(n, d) queries and positives -> a scalar."""
        cosines = vectors.queries @ vectors.positives.T  # (n, d) @ (d, n) -> (n, n)
        left_out = other_positives(self.masks, rows)
        left_out = left_out | too_near(self.masks, cosines, cosines.diagonal())
        scores = (cosines / self.temperature).masked_fill(but_own(left_out), -torch.inf)
        return softmax_loss(scores)


def softmax_loss(scores: Tensor) -> Tensor:
    """The mean of -log softmax of the diagonal; ``scores`` (n, n or more), -inf for no term."""
    return (scores.logsumexp(dim=1) - scores.diagonal()).mean()


def but_own(left_out: Tensor) -> Tensor:
    """``left_out`` (n, n) with the diagonal, a row's own positive, always kept."""
    itself = torch.eye(len(left_out), dtype=torch.bool, device=left_out.device)
    return left_out & ~itself
