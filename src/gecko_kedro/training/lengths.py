"""How many texts are longer than the model is trained to read."""

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_SAMPLE = 100_000
_AT_ONCE = 1_000


def share_truncated(model: "SentenceTransformer", texts: pl.Series, *, seed: int) -> float:
    """The share of ``texts`` with more tokens than ``model.max_seq_length``; 0 without a tokenizer.

    Of more than 100,000 texts that many are drawn.
    """
    limit, tokenizer = model.max_seq_length, model.tokenizer
    if limit is None or texts.is_empty() or not callable(tokenizer):
        return 0.0
    if len(texts) > _SAMPLE:
        texts = texts[np.random.default_rng(seed).choice(len(texts), _SAMPLE, replace=False)]
    longer = 0
    for start in range(0, len(texts), _AT_ONCE):
        part = texts[start : start + _AT_ONCE].to_list()
        tokens = tokenizer(part, truncation=False, verbose=False)["input_ids"]
        longer += sum(len(own) > limit for own in tokens)
    return longer / len(texts)
