"""The fine-tuning loss: own hard negative and same-tower negatives (Gecko's equation 3)."""

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from torch import Tensor

from gecko_kedro.training.losses.in_batch import GECKO_CITATION
from gecko_kedro.training.losses.masks import same_text
from gecko_kedro.training.passes import embed_by_length


class GeckoLoss(MultipleNegativesRankingLoss):
    r"""The mean over a batch of n rows of

    .. math::
        -\log \frac{e^{s(q_i, p_i^+)/\tau}}
        {\sum_{j=1}^{n} \left( e^{s(q_i, p_j^+)/\tau} + 1_{[j \ne i]} e^{s(q_i, q_j)/\tau} \right)
         + e^{s(q_i, p_i^-)/\tau}}

    with s the cosine. Source: arXiv 2403.20327, equation 3.

    Only a query's *own* hard negative is in its denominator; sentence-transformers' stock loss
    counts those of all rows. More negative columns add a term each. Without negatives the last
    term is missing. ``same_tower=False`` leaves the query-query terms out. With ``labels`` (see
    ``masks.same_text``) both terms j of rows that share a text with row i are left out.
    """

    def __init__(
        self,
        model: SentenceTransformer,
        *,
        temperature: float,
        same_tower: bool,
        rows_per_pass: int | None = None,
    ) -> None:
        super().__init__(model, scale=1 / temperature)
        self.same_tower = same_tower
        self.rows_per_pass = rows_per_pass  # see passes.embed_by_length

    def forward(
        self, sentence_features: Iterable[dict[str, Tensor]], labels: Tensor | None = None
    ) -> Tensor:
        """Embed the columns, then ``compute_loss_from_embeddings``."""
        embeddings = embed_by_length(
            self.model, list(sentence_features), rows_per_pass=self.rows_per_pass
        )
        return self.compute_loss_from_embeddings(embeddings, labels)

    def compute_loss_from_embeddings(
        self, embeddings: list[Tensor], labels: Tensor | None = None
    ) -> Tensor:
        """``embeddings``: queries, positives, then any negatives, each ``(n, d)``; a scalar."""
        # bfloat16 keeps 8 bits: at temperature 0.02 a logit would be wrong by 0.2.
        with torch.autocast(embeddings[0].device.type, enabled=False):
            exact = torch.promote_types(embeddings[0].dtype, torch.float32)
            queries, positives, *negatives = (column.to(exact) for column in embeddings)
            itself = torch.eye(len(queries), dtype=torch.bool, device=queries.device)  # (n, n)
            left_out = same_text(labels) if labels is not None else torch.zeros_like(itself)

            to_positives = self.similarity_fct(queries, positives) * self.scale  # (n, n)
            terms = [to_positives.masked_fill(left_out, -torch.inf)]
            if self.same_tower:
                to_queries = self.similarity_fct(queries, queries) * self.scale  # (n, n)
                terms.append(to_queries.masked_fill(left_out | itself, -torch.inf))
            for negative in negatives:
                own = F.cosine_similarity(queries, negative, dim=1) * self.scale  # (n,)
                terms.append(own[:, None])
            return (torch.cat(terms, dim=1).logsumexp(dim=1) - to_positives.diagonal()).mean()

    def get_config_dict(self) -> dict[str, Any]:
        """What goes into a sentence-transformers model card."""
        return {"temperature": self.temperature, "same_tower": self.same_tower}

    @property
    def citation(self) -> str:
        return GECKO_CITATION
