"""The pre-finetuning loss: in-batch softmax from query to passage (Gecko's equation 2)."""

from collections.abc import Iterable
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from torch import Tensor

from gecko_kedro.training.losses.masks import same_text
from gecko_kedro.training.passes import embed_by_length


class InBatchLoss(MultipleNegativesRankingLoss):
    r"""The mean over a batch of n pairs of

    .. math:: -\log \frac{e^{s(q_i, p_i)/\tau}}{\sum_{j=1}^{n} e^{s(q_i, p_j)/\tau}}

    with s the cosine. Source: arXiv 2403.20327, equation 2. One direction, no hard negatives: a
    third column is not read. With ``labels`` (see ``masks.same_text``) the terms j of rows that
    share a text with row i are left out.
    """

    def __init__(
        self, model: SentenceTransformer, *, temperature: float, rows_per_pass: int | None = None
    ) -> None:
        super().__init__(model, scale=1 / temperature)
        self.rows_per_pass = rows_per_pass  # see passes.embed_by_length

    def forward(
        self, sentence_features: Iterable[dict[str, Tensor]], labels: Tensor | None = None
    ) -> Tensor:
        """Embed the columns, then ``compute_loss_from_embeddings``."""
        embeddings = embed_by_length(
            self.model, list(sentence_features)[:2], rows_per_pass=self.rows_per_pass
        )
        return self.compute_loss_from_embeddings(embeddings, labels)

    def compute_loss_from_embeddings(
        self, embeddings: list[Tensor], labels: Tensor | None = None
    ) -> Tensor:
        """``embeddings``: queries and positives, each ``(n, d)``; gives a scalar."""
        queries, positives = embeddings[:2]
        # bfloat16 keeps 8 bits: at temperature 0.02 a logit would be wrong by 0.2.
        with torch.autocast(queries.device.type, enabled=False):
            exact = torch.promote_types(queries.dtype, torch.float32)
            scores = self.similarity_fct(queries.to(exact), positives.to(exact)) * self.scale
            # (n, d) @ (d, n) -> (n, n)
            if labels is not None:
                scores = scores.masked_fill(same_text(labels), -torch.inf)
            return (scores.logsumexp(dim=1) - scores.diagonal()).mean()

    def get_config_dict(self) -> dict[str, Any]:
        """What goes into a sentence-transformers model card."""
        return {"temperature": self.temperature}

    @property
    def citation(self) -> str:
        return GECKO_CITATION


GECKO_CITATION = """
@misc{lee2024gecko,
    title={Gecko: Versatile Text Embeddings Distilled from Large Language Models},
    author={Jinhyuk Lee and others},
    year={2024},
    eprint={2403.20327},
    archivePrefix={arXiv},
    primaryClass={cs.CL}
}
"""
