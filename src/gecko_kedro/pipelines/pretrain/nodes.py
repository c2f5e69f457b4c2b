"""Nodes of pretrain: pre-finetuning on natural pairs (equation 2 of the paper)."""

import logging
from pathlib import Path
from typing import Any

import polars as pl

from gecko_kedro import corpus, evaluation, training
from gecko_kedro.corpus.settings import DecontaminateSettings
from gecko_kedro.encoder.settings import LoadSettings
from gecko_kedro.params import Encoder
from gecko_kedro.pipelines._decontamination import decontaminate_examples
from gecko_kedro.training.settings import EncoderTraining, PretrainTraining, SelectPairsSettings

logger = logging.getLogger(__name__)


def select_pretrain_examples(
    natural_pairs: pl.DataFrame,
    pretrain_sources: dict[str, Any],
    sources: training.Sources,
    settings: SelectPairsSettings,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Natural pairs, capped, and the sources at their rates."""
    pairs = corpus.cap(natural_pairs, limit=settings.max_pairs, seed=settings.seed)
    sets = {"natural_pairs": training.from_pairs(pairs)} | pretrain_sources
    examples = training.mix_examples(
        {name: made.rows for name, made in sets.items()},
        {"natural_pairs": 1.0} | training.rates_of(sources),
        settings.seed,
    )
    logger.info("select_pretrain_examples: %d examples", examples.height)
    return examples, pl.concat([made.quarantine for made in sets.values()])


def decontaminate_pretrain_examples(
    undecided_examples: pl.DataFrame,
    heldout_pairs: pl.DataFrame,
    own_data: evaluation.CheckedData | None,
    unseen: evaluation.ReadTasks,
    load: LoadSettings,
    params: DecontaminateSettings,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Take out what overlaps with anything that evaluate or guard will score, sources included."""
    return decontaminate_examples(
        undecided_examples, heldout_pairs, own_data, unseen,
        load=load, params=params, where="pretrain",
    )  # fmt: skip


def pretrain_encoder(
    pretrain_examples: pl.DataFrame,
    checkpoints: Path,
    load: LoadSettings,
    encoder_training: EncoderTraining,
    settings: PretrainTraining,
) -> tuple[Encoder, pl.DataFrame, dict[str, float]]:
    """In-batch softmax from query to passage (equation 2); the base itself without examples."""
    model = load.load(for_training=True)
    how = encoder_training.options(model, settings=settings, checkpoints=checkpoints)
    result = training.train_or_keep(
        model, pretrain_examples, loss="in_batch", name="pretrain", **how
    )
    return result.model, result.history, result.metrics


def plot_pretrain_loss(pretrain_history: pl.DataFrame) -> Any:
    """Loss and learning rate by step."""
    return evaluation.plot_training(pretrain_history, title="Pre-finetuning")
