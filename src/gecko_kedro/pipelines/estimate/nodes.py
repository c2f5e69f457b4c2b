"""Nodes of estimate: what the configured run will cost, measured in small. Nothing is trained."""

import logging
from typing import Any, Literal

import polars as pl

from gecko_kedro import corpus, estimation, fret
from gecko_kedro.fret.schemas import QUERY, empty_table
from gecko_kedro.params import (
    CorpusParams,
    EncoderParams,
    EstimateParams,
    FinetuneParams,
    MineParams,
    PretrainParams,
    RelabelParams,
    SynthesizeParams,
)
from gecko_kedro.pipelines._teacher import PreparedTeacher
from gecko_kedro.pipelines.estimate.asking import measure_teacher
from gecko_kedro.pipelines.estimate.calibration import (
    measure_corpus,
    measure_encoder,
    measure_search,
    measure_training,
)
from gecko_kedro.pipelines.estimate.plan import plan_run, training_examples
from gecko_kedro.training.settings import TrainSettings
from gecko_kedro.training.setup import Loss

logger = logging.getLogger(__name__)


def sample_documents(
    documents: corpus.ReadResult, corpus_params: dict[str, Any], params: EstimateParams
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Passages of a sample of the corpus, and how many the whole will have."""
    measure, passages = measure_corpus(
        documents.documents,
        sample=params.documents,
        params=CorpusParams.model_validate(corpus_params),
    )
    logger.info(
        "sample_documents: %d of %d documents have %d passages to train on",
        measure.sampled_documents, measure.documents, passages.height,
    )  # fmt: skip
    return passages, measure.model_dump()


def calibrate_mining(
    estimate_sample: pl.DataFrame,
    encoder_params: EncoderParams,
    mine_params: dict[str, Any],
    params: EstimateParams,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Encode some passages and search a block of vectors."""
    mining = MineParams.model_validate(mine_params)
    encoding = measure_encoder(
        estimate_sample,
        texts=params.texts,
        params=encoder_params,
        mine=mining,
        seed=params.seed,
    )
    searching = measure_search(dimension=encoding.dimension, params=mining, seed=params.seed)
    logger.info(
        "calibrate_mining: %.3g passages a second, %.3g million pairs a second",
        1 / encoding.passage_seconds, 1e-6 / searching.pair_seconds,
    )  # fmt: skip
    return encoding.model_dump(), searching.model_dump()


def calibrate_teacher(
    estimate_sample: pl.DataFrame,
    query_log: corpus.QueryLogResult,
    prepared: PreparedTeacher,
    joining: fret.JoinSettings,
    synthesize_params: dict[str, Any],
    n_candidates: int,
    relabel_params: dict[str, Any],
    params: EstimateParams,
) -> tuple[dict[str, Any], pl.DataFrame]:
    """Let the teacher write and judge a little; its replies are kept for the run."""
    logged = fret.join_query_log(empty_table(QUERY), query_log.queries, joining)
    measure, queries = measure_teacher(
        estimate_sample,
        logged if joining.use == "replace" else logged.clear(),
        queries=params.queries,
        n_candidates=n_candidates,
        prepared=prepared,
        synthesize=SynthesizeParams.model_validate(synthesize_params),
        relabel=RelabelParams.model_validate(relabel_params),
    )
    for kind, call in measure.calls.items():
        logger.info("calibrate_teacher: %s: %.3g s, %.0f + %.0f tokens a call",
                    kind, call.seconds, call.prompt_tokens, call.completion_tokens)  # fmt: skip
    return measure.model_dump(), queries


def calibrate_training(
    estimate_sample: pl.DataFrame,
    queries: pl.DataFrame,
    pairing: corpus.PairSettings,
    encoder_params: EncoderParams,
    seed_retriever: Literal["trained", "given"],
    seed_training: TrainSettings,
    pretrain_params: PretrainParams,
    finetune_params: FinetuneParams,
    params: EstimateParams,
) -> dict[str, Any]:
    """Four steps of each training stage, thrown away."""
    examples = training_examples(
        estimate_sample, queries, kinds=pairing.kinds, rows=params.training_rows
    )
    stages: dict[str, tuple[TrainSettings, Loss]] = {
        "mine": (seed_training, "in_batch"),
        "pretrain": (pretrain_params.train, "in_batch"),
        "finetune": (finetune_params.train, "gecko"),
    }
    if seed_retriever == "given":
        del stages["mine"]
    return {
        name: measure_training(
            examples[name], settings=settings, loss=loss, encoder_params=encoder_params
        ).model_dump()
        for name, (settings, loss) in stages.items()
    }


def estimate_run(
    corpus_measure: dict[str, Any],
    encoder_measure: dict[str, Any],
    search_measure: dict[str, Any],
    teacher_measure: dict[str, Any],
    training_measures: dict[str, Any],
    query_log: corpus.QueryLogResult,
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
    estimate = plan_run(measures, logged=query_log.queries.height, parameters=parameters)
    logger.info("%s", estimate.text)
    return estimate.content
