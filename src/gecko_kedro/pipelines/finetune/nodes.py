"""Nodes of finetune: FRet and other sets, same-tower negatives, Matryoshka (equation 3)."""

import logging
from pathlib import Path
from typing import Any

import polars as pl

from gecko_kedro import evaluation, training
from gecko_kedro.params import Encoder, EncoderParams, FinetuneParams

logger = logging.getLogger(__name__)


def mix_finetune_examples(
    fret_table: pl.DataFrame, natural_pairs: pl.DataFrame, params: FinetuneParams
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """All sets in the unified format, at their rates."""
    fret_set, pair_set = training.from_fret(fret_table), training.from_pairs(natural_pairs)
    examples = training.mix_examples(
        {"fret": fret_set.examples, "natural_pairs": pair_set.examples},
        params.rates,
        params.train.seed,
    )
    logger.info("mix_finetune_examples: %d examples", examples.height)
    return examples, pl.concat([fret_set.quarantine, pair_set.quarantine])


def finetune_encoder(
    pretrained_encoder: str,
    finetune_examples: pl.DataFrame,
    checkpoints: Path,
    encoder_params: EncoderParams,
    params: FinetuneParams,
) -> tuple[Encoder, pl.DataFrame, dict[str, float]]:
    """In-batch, own hard and same-tower negatives (equation 3) at each Matryoshka dimension."""
    result = training.train_encoder(
        encoder_params.load(pretrained_encoder, for_training=True),
        finetune_examples,
        settings=params.train,
        loss="gecko",
        name="finetune",
        checkpoints=checkpoints,
    )
    return result.model, result.history, result.metrics


def plot_finetune_loss(finetune_history: pl.DataFrame) -> Any:
    """Loss and learning rate by step."""
    return evaluation.plot_training(finetune_history, title="Fine-tuning")
