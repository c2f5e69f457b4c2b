"""Which texts of a batch are no negatives of a row, as MaskSettings say.

Sources: same_text: EmbeddingGemma's equation 3 (arXiv 2509.20354); same_label: Gemini Embedding
(arXiv 2503.07891), what unique ids do otherwise; margin: a text with s_ij > s(q_i, p_i) + margin
(Qwen3-Embedding, arXiv 2506.05176, with 0.1).
"""

import torch
from torch import Tensor

from gecko_kedro.training.losses.embedded import Rows
from gecko_kedro.training.settings import MaskSettings

NO_MASKS = MaskSettings(same_text=False, known_positive=False, same_label=False)


def other_positives(masks: MaskSettings, rows: Rows) -> Tensor:
    """(n, n) bool: the positive of row j is no negative of row i."""
    return _other_rows(masks, rows) | _known(masks, rows, rows.positive)


def other_queries(masks: MaskSettings, rows: Rows) -> Tensor:
    """(n, n) bool: the query of row j is no negative of row i."""
    return _other_rows(masks, rows) | _known(masks, rows, rows.query)


def other_negatives(masks: MaskSettings, rows: Rows) -> Tensor:
    """(n, m) bool: negative j, a hard negative of another row, is none of row i.

    The class of a negative is not known, so with ``same_label`` a row that has a class takes none
    of them.
    """
    left_out = _known(masks, rows, rows.negative)
    if masks.same_text:
        left_out = left_out | (rows.positive[:, None] == rows.negative[None, :])
        left_out = left_out | (rows.query[:, None] == rows.negative[None, :])
    if masks.same_label:
        left_out = left_out | (rows.label >= 0)[:, None]
    return left_out


def too_near(masks: MaskSettings, scores: Tensor, to_own: Tensor) -> Tensor:
    """Bool like ``scores`` (n, any), cosines; ``to_own`` (n,) are those to the own positive."""
    if masks.margin is None:
        return torch.zeros_like(scores, dtype=torch.bool)
    return scores.detach() > to_own.detach()[:, None] + masks.margin


def _other_rows(masks: MaskSettings, rows: Rows) -> Tensor:
    n = len(rows.query)
    same = torch.zeros((n, n), dtype=torch.bool, device=rows.query.device)
    if masks.same_text:
        same |= rows.query[:, None] == rows.query[None, :]
        same |= rows.positive[:, None] == rows.positive[None, :]
    if masks.same_label:
        same |= (rows.label[:, None] == rows.label[None, :]) & (rows.label >= 0)[:, None]
    return same


def _known(masks: MaskSettings, rows: Rows, texts: Tensor) -> Tensor:
    known = torch.zeros((len(rows.query), len(texts)), dtype=torch.bool, device=rows.query.device)
    if masks.known_positive:
        for column in rows.known.T:  # few columns; (n, n, k) at once would not fit
            known |= column[:, None] == texts[None, :]
    return known
