"""Nodes of estimate: what the configured run will cost, measured in small. Nothing is trained."""

import logging
from typing import Any, Literal

import polars as pl

from gecko_kedro import corpus, estimation, fret
from gecko_kedro.encoder.settings import LoadSettings
from gecko_kedro.fret.schemas import QUERY, empty_table
from gecko_kedro.params import CorpusParams, RelabelParams, SynthesizeParams
from gecko_kedro.pipelines.estimate import calibration
from gecko_kedro.pipelines.estimate.asking import measure_teacher
from gecko_kedro.pipelines.estimate.plan import plan_run, training_examples
from gecko_kedro.retrieval import EmbedSettings, SearchSettings
from gecko_kedro.teacher.usage import Prices
from gecko_kedro.training.job import Loss
from gecko_kedro.training.settings import (
    EncoderTraining,
    FinetuneTraining,
    PretrainTraining,
    SeedRetrieverTraining,
    TrainSettings,
)

logger = logging.getLogger(__name__)


def sample_documents(
    documents: corpus.Checked, corpus_params: dict[str, Any], n_seeds: int, sample: int, asked: int
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Passages of a sample of the corpus, and how many the whole will have.

    The sample is large enough to have the seed passages that the teacher will be asked about among
    those of the run, which reuses the replies.
    """
    enough = estimation.documents_with_seeds(documents.rows.height, queries=asked, n_seeds=n_seeds)
    measure, passages = calibration.measure_corpus(
        documents.rows,
        sample=max(sample, enough),
        params=CorpusParams.model_validate(corpus_params),
    )
    logger.info(
        "sample_documents: %d of %d documents have %d passages to train on",
        measure.sampled_documents, measure.documents, passages.height,
    )  # fmt: skip
    return passages, measure.model_dump()


def calibrate_mining(
    estimate_sample: pl.DataFrame,
    load: LoadSettings,
    embedding: EmbedSettings,
    searching: SearchSettings,
    texts: int,
    seed: int,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Encode some passages and search a block of vectors."""
    encoded = calibration.measure_encoder(
        estimate_sample, texts=texts, load=load, max_seq_length=embedding.max_seq_length, seed=seed
    )
    searched = calibration.measure_search(
        dimension=encoded.dimension, dtype=embedding.vectors_dtype, settings=searching, seed=seed
    )
    logger.info(
        "calibrate_mining: %.3g passages a second, %.3g million pairs a second",
        1 / encoded.passage_seconds, 1e-6 / searched.pair_seconds,
    )  # fmt: skip
    return encoded.model_dump(), searched.model_dump()


def calibrate_teacher(
    estimate_sample: pl.DataFrame,
    query_log: corpus.Checked,
    prepared: fret.PreparedTeacher,
    joining: fret.JoinSettings,
    synthesize_params: dict[str, Any],
    n_candidates: int,
    relabel_params: dict[str, Any],
    asked: int,
) -> tuple[dict[str, Any], pl.DataFrame]:
    """Let the teacher write and judge a little; its replies are kept for the run."""
    logged = fret.join_query_log(empty_table(QUERY), query_log.rows, joining)
    measure, queries = measure_teacher(
        estimate_sample,
        logged if joining.use == "replace" else logged.clear(),
        queries=asked,
        n_candidates=n_candidates,
        prepared=prepared,
        synthesize=SynthesizeParams.model_validate(synthesize_params),
        relabel=RelabelParams.model_validate(relabel_params),
    )
    for kind, call in measure.calls.items():
        logger.info("calibrate_teacher: %s: %.3g s, %.0f + %.0f tokens a call",
                    kind, call.seconds, call.prompt_tokens, call.completion_tokens)  # fmt: skip
    return measure.model_dump(), queries


def draw_examples(
    estimate_sample: pl.DataFrame, queries: pl.DataFrame, pairing: corpus.PairSettings, rows: int
) -> dict[str, pl.DataFrame]:
    """A few examples of each training stage."""
    return training_examples(estimate_sample, queries, kinds=pairing.kinds, rows=rows)


def calibrate_training(
    examples: dict[str, pl.DataFrame],
    load: LoadSettings,
    encoder_training: EncoderTraining,
    seed_retriever: Literal["trained", "given"],
    seed_settings: SeedRetrieverTraining,
    pretrain_settings: PretrainTraining,
    finetune_settings: FinetuneTraining,
) -> dict[str, Any]:
    """Four steps of each training stage, thrown away."""
    stages: dict[str, tuple[TrainSettings, Loss]] = {
        "mine": (seed_settings, "in_batch"),
        "pretrain": (pretrain_settings, "in_batch"),
        "finetune": (finetune_settings, "gecko"),
    }
    if seed_retriever == "given":
        del stages["mine"]
    return {
        name: calibration.measure_training(
            examples[name], load, encoder_training, settings=settings, loss=loss
        ).model_dump()
        for name, (settings, loss) in stages.items()
    }


def estimate_run(
    corpus_measure: dict[str, Any],
    encoder_measure: dict[str, Any],
    search_measure: dict[str, Any],
    teacher_measure: dict[str, Any],
    training_measures: dict[str, Any],
    query_log: corpus.Checked,
    prices: Any,  # Prices; Kedro cannot build a part of the teacher's settings, which it builds too
    parameters: dict[str, Any],
) -> dict[str, Any]:
    """Scale what was measured up to the whole run: a table in the log, and the same as JSON."""
    measures = estimation.Measures.read(
        corpus=corpus_measure,
        encoder=encoder_measure,
        search=search_measure,
        teacher=teacher_measure,
        training=training_measures,
    )
    estimate = plan_run(
        measures,
        logged=query_log.rows.height,
        prices=Prices.model_validate(prices),
        parameters=parameters,
    )
    logger.info("%s", estimate.text)
    return estimate.content
