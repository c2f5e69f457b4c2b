"""The pre-finetuning loss: in-batch softmax from query to passage (Gecko's equation 2)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from gecko_kedro.training.losses.embedded import Rows, Vectors
from gecko_kedro.training.losses.masks import NO_MASKS, Masks


@dataclass(frozen=True)
class InBatchLoss:
    r"""The mean over a batch of n pairs of

    .. math:: -\log \frac{e^{s(q_i, p_i)/\tau}}{\sum_{j=1}^{n} e^{s(q_i, p_j)/\tau}}

    with s the cosine. Source: arXiv 2403.20327, equation 2. One direction, no hard negatives:
    ``vectors.negatives`` is not read. ``masks`` leave terms j != i out. ``both_directions`` gives
    the mean of this and of the same from passage to query, the sum then going over the queries.
    """

    temperature: float
    masks: Masks = NO_MASKS
    both_directions: bool = False

    def __call__(self, vectors: Vectors, rows: Rows) -> Tensor:
        """(n, d) queries and positives -> a scalar."""
        cosines = vectors.queries @ vectors.positives.T  # (n, d) @ (d, n) -> (n, n)
        left_out = self.masks.other_positives(rows) | self.masks.too_near(
            cosines, cosines.diagonal()
        )
        scores = (cosines / self.temperature).masked_fill(but_own(left_out), -torch.inf)
        loss = softmax_loss(scores)
        return (loss + softmax_loss(scores.T)) / 2 if self.both_directions else loss


def softmax_loss(scores: Tensor) -> Tensor:
    """The mean of -log softmax of the diagonal; ``scores`` (n, n or more), -inf for no term."""
    return (scores.logsumexp(dim=1) - scores.diagonal()).mean()


def but_own(left_out: Tensor) -> Tensor:
    """``left_out`` (n, n) with the diagonal, a row's own positive, always kept."""
    itself = torch.eye(len(left_out), dtype=torch.bool, device=left_out.device)
    return left_out & ~itself
