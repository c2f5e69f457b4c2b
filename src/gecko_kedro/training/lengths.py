"""How many texts are longer than the model is trained to read."""

import logging
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from gecko_kedro.training.examples import render_examples
from gecko_kedro.training.job import Job

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

logger = logging.getLogger(__name__)
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


def report_truncated(model: "SentenceTransformer", examples: pl.DataFrame, job: Job) -> float:
    """The share of queries and positives that are cut to max_seq_length; logged."""
    table = render_examples(examples, templates=job.templates, max_negatives=0)
    texts = pl.concat([table["query"], table["positive"].alias("query")])
    share = share_truncated(model, texts, seed=job.settings.seed)
    if share:
        logger.info(
            "%s: %.1f %% of the texts are longer than %d tokens and are cut",
            job.name, 100 * share, job.settings.max_seq_length,
        )  # fmt: skip
    return share
