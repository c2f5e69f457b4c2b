"""Which texts of a batch are no negatives of a row."""

from dataclasses import dataclass

import torch
from torch import Tensor

from gecko_kedro.training.losses.embedded import Rows


@dataclass(frozen=True)
class Masks:
    """The guards against false negatives; each can be switched off.

    same_text: row j where it has the query's text or the positive's text of row i. Several
    synthetic queries are written for one passage (the mask of EmbeddingGemma's equation 3, arXiv
    2509.20354).
    known_positive: a text that is a positive of query i in any row of the training set.
    same_label: row j where it has the class of row i (Gemini Embedding's mask, arXiv 2503.07891):
    what unique ids do otherwise.
    margin: a text that is nearer to query i than its own positive by more than this cosine, s_ij >
    s(q_i, p_i) + margin (Qwen3-Embedding, arXiv 2506.05176, with 0.1); None for off.

    They apply to the texts of *other* rows only: a row's own negatives were chosen for it.
    """

    same_text: bool = False
    known_positive: bool = False
    same_label: bool = False
    margin: float | None = None

    def other_positives(self, rows: Rows) -> Tensor:
        """(n, n) bool: the positive of row j is no negative of row i."""
        return self._other_rows(rows) | self._known(rows, rows.positive)

    def other_queries(self, rows: Rows) -> Tensor:
        """(n, n) bool: the query of row j is no negative of row i."""
        return self._other_rows(rows) | self._known(rows, rows.query)

    def other_negatives(self, rows: Rows) -> Tensor:
        """(n, m) bool: negative j, a hard negative of another row, is none of row i.

        The class of a negative is not known, so with ``same_label`` a row that has a class takes
        none of them.
        """
        left_out = self._known(rows, rows.negative)
        if self.same_text:
            left_out = left_out | (rows.positive[:, None] == rows.negative[None, :])
            left_out = left_out | (rows.query[:, None] == rows.negative[None, :])
        if self.same_label:
            left_out = left_out | (rows.label >= 0)[:, None]
        return left_out

    def too_near(self, scores: Tensor, to_own: Tensor) -> Tensor:
        """Bool like ``scores`` (n, any), cosines; ``to_own`` (n,) are those to the own positive."""
        if self.margin is None:
            return torch.zeros_like(scores, dtype=torch.bool)
        return scores.detach() > to_own.detach()[:, None] + self.margin

    def _other_rows(self, rows: Rows) -> Tensor:
        n = len(rows.query)
        same = torch.zeros((n, n), dtype=torch.bool, device=rows.query.device)
        if self.same_text:
            same |= rows.query[:, None] == rows.query[None, :]
            same |= rows.positive[:, None] == rows.positive[None, :]
        if self.same_label:
            same |= (rows.label[:, None] == rows.label[None, :]) & (rows.label >= 0)[:, None]
        return same

    def _known(self, rows: Rows, texts: Tensor) -> Tensor:
        known = torch.zeros(
            (len(rows.query), len(texts)), dtype=torch.bool, device=rows.query.device
        )
        if self.known_positive:
            for column in rows.known.T:  # few columns; (n, n, k) at once would not fit
                known |= column[:, None] == texts[None, :]
        return known


NO_MASKS = Masks()
