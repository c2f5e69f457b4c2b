"""The fine-tuning loss: own hard negatives and same-tower negatives (Gecko's equation 3)."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from gecko_kedro.training.losses.embedded import Rows, Vectors, by_row
from gecko_kedro.training.losses.in_batch import but_own, softmax_loss
from gecko_kedro.training.losses.masks import (
    NO_MASKS,
    other_negatives,
    other_positives,
    other_queries,
    too_near,
)
from gecko_kedro.training.settings import MaskSettings


@dataclass(frozen=True)
class GeckoObjective:
    r"""The mean over a batch of n rows of

    .. math::
        -\log \frac{e^{s(q_i, p_i^+)/\tau}}
        {\sum_{j=1}^{n} \left( e^{s(q_i, p_j^+)/\tau} + 1_{[j \ne i]} e^{s(q_i, q_j)/\tau} \right)
         + w_i e^{s(q_i, p_i^-)/\tau}}

    with s the cosine and w_i = 1. Source: arXiv 2403.20327, equation 3. Departures from it, off by
    default:

    negatives: ``"own"``: only a query's own hard negatives are in its denominator, one term each,
    the first ``max_negatives`` of them. ``"all"``: those of all rows, which is what
    sentence-transformers' MultipleNegativesRankingLoss computes. ``"none"``: no such term.
    same_tower: False leaves the query-query terms out (SamToNe, arXiv 2306.02516, has them).
    hardness: a > 0 weights own hard negatives with w_i = exp(a stop_gradient(s(q_i, p_i^-)));
    EmbeddingGemma (arXiv 2509.20354) has a = 5.
    masks: terms j of other rows that are left out, see ``losses.masks``.
    """

    temperature: float
    same_tower: bool = True
    negatives: Literal["own", "all", "none"] = "own"
    max_negatives: int | None = None
    hardness: float = 0.0
    masks: MaskSettings = NO_MASKS

    def __call__(self, vectors: Vectors, rows: Rows) -> Tensor:
        """(n, d) queries and positives, (m, d) negatives -> a scalar."""
        queries, masks = vectors.queries, self.masks
        cosines = queries @ vectors.positives.T  # (n, d) @ (d, n) -> (n, n)
        own = cosines.diagonal()  # (n,)
        left_out = but_own(other_positives(masks, rows) | too_near(masks, cosines, own))
        to_positives = (cosines / self.temperature).masked_fill(left_out, -torch.inf)
        terms = [to_positives]
        if self.same_tower:
            to_queries = queries @ queries.T  # (n, n)
            left_out = other_queries(masks, rows) | too_near(masks, to_queries, own)
            itself = torch.eye(len(own), dtype=torch.bool, device=own.device)
            terms.append((to_queries / self.temperature).masked_fill(left_out | itself, -torch.inf))
        if self.negatives != "none" and len(rows.owner):
            terms.append(self._to_negatives(vectors, rows, own))
        return softmax_loss(torch.cat(terms, dim=1))

    def _to_negatives(self, vectors: Vectors, rows: Rows, own: Tensor) -> Tensor:
        """Scores of hard negatives, -inf for no term: (n, most of a row), or (n, m) for all."""
        if self.negatives == "own":
            cosines = (vectors.queries[rows.owner] * vectors.negatives).sum(dim=1)  # (m,)
            scores = by_row(self._weighted(cosines), rows, fill=-torch.inf)
            return scores[:, : self.max_negatives]
        cosines = vectors.queries @ vectors.negatives.T  # (n, d) @ (d, m) -> (n, m)
        mine = rows.owner[None, :] == torch.arange(len(own), device=own.device)[:, None]
        left_out = other_negatives(self.masks, rows) | too_near(self.masks, cosines, own)
        left_out = left_out & ~mine
        if self.max_negatives is not None:
            left_out = left_out | (rows.rank >= self.max_negatives)
        scores = torch.where(mine, self._weighted(cosines), cosines / self.temperature)
        return scores.masked_fill(left_out, -torch.inf)

    def _weighted(self, cosines: Tensor) -> Tensor:
        return cosines / self.temperature + self.hardness * cosines.detach()
