"""Nodes of finetune: FRet and other sets, same-tower negatives, Matryoshka (equation 3)."""

import logging
from pathlib import Path
from typing import Any

import polars as pl

from gecko_kedro import encoder, evaluation, training
from gecko_kedro.corpus.schemas import QUARANTINE_SCHEMA
from gecko_kedro.corpus.settings import DecontaminateSettings
from gecko_kedro.encoder.settings import LoadSettings
from gecko_kedro.params import Encoder
from gecko_kedro.pipelines._decontamination import decontaminate_examples
from gecko_kedro.training.settings import (
    EncoderTraining,
    FinetuneTraining,
    MinedNegativesSettings,
    MixSettings,
)

logger = logging.getLogger(__name__)


def collect_source_examples(
    finetune_sources: dict[str, Any],
    sources: training.Sources,
    load: LoadSettings,
    settings: MinedNegativesSettings,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The sources as one table; the initial embedder finds negatives where they are wanted."""
    made = finetune_sources.values()
    examples = pl.concat([training.EXAMPLE_SCHEMA.to_frame(), *(one.rows for one in made)])
    known = [training.SourceSettings.model_validate(source) for source in sources]
    if wanting := [source.name for source in known if source.mine_negatives]:
        model = load.load(max_seq_length=settings.max_seq_length)
        examples = training.add_mined_negatives(
            examples,
            model,
            datasets=wanting,
            templates=encoder.own_templates(model.prompts),  # nobody has trained it on others
            batch_size=load.batch_size,
            settings=settings,
        )
    for name, one in finetune_sources.items():
        logger.info("collect_source_examples: %s, %s", name, one.counts)
    return examples, pl.concat([QUARANTINE_SCHEMA.to_frame(), *(one.quarantine for one in made)])


def mix_finetune_examples(
    fret_table: pl.DataFrame,
    natural_pairs: pl.DataFrame,
    candidate_passages: pl.DataFrame | None,
    source_examples: pl.DataFrame,
    sources: training.Sources,
    settings: MixSettings,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """All sets in the unified format, at their rates.

    With ``candidate_passages`` a FRet row has all its candidates and the teacher's scores of them.
    """
    fret_set = training.from_fret(fret_table, passages=candidate_passages)
    pair_set = training.from_pairs(natural_pairs)
    rates = training.rates_of(sources)
    of_sources = {name: source_examples.filter(pl.col("dataset") == name) for name in rates}
    examples = training.mix_examples(
        {"fret": fret_set.rows, "natural_pairs": pair_set.rows} | of_sources,
        settings.rates | rates,
        settings.seed,
    )
    logger.info("mix_finetune_examples: %d examples", examples.height)
    return examples, pl.concat([fret_set.quarantine, pair_set.quarantine])


def decontaminate_finetune_examples(
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
        load=load, params=params, where="finetune",
    )  # fmt: skip


def finetune_encoder(
    pretrained_encoder: str,
    finetune_examples: pl.DataFrame,
    checkpoints: Path,
    load: LoadSettings,
    encoder_training: EncoderTraining,
    settings: FinetuneTraining,
    runs: int,
) -> tuple[Encoder, pl.DataFrame, dict[str, float]]:
    """In-batch, own hard and same-tower negatives (equation 3) at each Matryoshka dimension.

    With ``runs`` above 1 the encoder has the mean of the weights of so many trainings, of
    the seeds from ``settings.seed`` on (a model soup); history and metrics are those of the last.
    Without examples the pretrained encoder takes its place.
    """
    results = []
    for run in range(1 if finetune_examples.is_empty() else runs):
        if runs > 1:
            logger.info("finetune_encoder: training %d of %d", run + 1, runs)
        model = load.load(pretrained_encoder, for_training=True)
        seeded = settings.model_copy(update={"seed": settings.seed + run})
        how = encoder_training.options(model, settings=seeded, checkpoints=checkpoints)
        result = training.train_or_keep(
            model, finetune_examples, loss="gecko", name="finetune", **how
        )
        results.append(result)
    if len(results) == 1:
        return result.model, result.history, result.metrics
    seconds = sum(one.metrics["seconds"] for one in results)
    metrics = result.metrics | {"averaged_runs": runs, "seconds": seconds}
    soup = encoder.average_encoders([one.model for one in results])
    return soup, result.history, metrics


def plot_finetune_loss(finetune_history: pl.DataFrame) -> Any:
    """Loss and learning rate by step."""
    return evaluation.plot_training(finetune_history, title="Fine-tuning")
