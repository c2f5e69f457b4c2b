"""Nodes of estimate: what the configured run will cost, measured in small. Nothing is trained."""

import logging
from pathlib import Path
from typing import Any

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
    QueriesParams,
    RelabelParams,
    SynthesizeParams,
)
from gecko_kedro.pipelines.estimate.asking import measure_teacher
from gecko_kedro.pipelines.estimate.calibration import (
    measure_corpus,
    measure_encoder,
    measure_search,
    measure_training,
)
from gecko_kedro.pipelines.estimate.plan import plan_run, training_examples
from gecko_kedro.teacher import TeacherSettings
from gecko_kedro.training.settings import TrainSettings
from gecko_kedro.training.setup import Loss

logger = logging.getLogger(__name__)


def sample_documents(
    documents: corpus.ReadResult,
    corpus_params: CorpusParams,
    synthesize_params: SynthesizeParams,
    params: EstimateParams,
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Passages of a sample of the corpus, and how many the whole will have.

    The sample is large enough to have the seed passages that the teacher will be asked about among
    those of the run, which reuses the replies.
    """
    enough = estimation.documents_with_seeds(
        documents.documents.height, queries=params.queries, n_seeds=synthesize_params.n_seeds
    )
    measure, passages = measure_corpus(
        documents.documents, sample=max(params.documents, enough), params=corpus_params
    )
    logger.info(
        "sample_documents: %d of %d documents have %d passages to train on",
        measure.sampled_documents, measure.documents, passages.height,
    )  # fmt: skip
    return passages, measure.model_dump()


def calibrate_mining(
    estimate_sample: pl.DataFrame,
    encoder_params: EncoderParams,
    mine_params: MineParams,
    params: EstimateParams,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Encode some passages and search a block of vectors."""
    encoding = measure_encoder(
        estimate_sample,
        texts=params.texts,
        params=encoder_params,
        mine=mine_params,
        seed=params.seed,
    )
    searching = measure_search(dimension=encoding.dimension, params=mine_params, seed=params.seed)
    logger.info(
        "calibrate_mining: %.3g passages a second, %.3g million pairs a second",
        1 / encoding.passage_seconds, 1e-6 / searching.pair_seconds,
    )  # fmt: skip
    return encoding.model_dump(), searching.model_dump()


def calibrate_teacher(
    estimate_sample: pl.DataFrame,
    query_log: corpus.QueryLogResult,
    prompts: dict[str, Any],
    store: Path,
    teacher_settings: TeacherSettings,
    queries_params: QueriesParams,
    synthesize_params: SynthesizeParams,
    mine_params: MineParams,
    relabel_params: RelabelParams,
    params: EstimateParams,
) -> tuple[dict[str, Any], pl.DataFrame]:
    """Let the teacher write and judge a little; its replies are kept for the run."""
    logged = fret.join_query_log(
        empty_table(QUERY), query_log.queries, use="replace", task_name=queries_params.task_name
    )
    measure, queries = measure_teacher(
        estimate_sample,
        logged if queries_params.use == "replace" else logged.clear(),
        queries=params.queries,
        n_candidates=mine_params.n_candidates,
        prompts=prompts,
        store=store,
        settings=teacher_settings,
        synthesize=synthesize_params,
        relabel=relabel_params,
    )
    for kind, call in measure.calls.items():
        logger.info("calibrate_teacher: %s: %.3g s, %.0f + %.0f tokens a call",
                    kind, call.seconds, call.prompt_tokens, call.completion_tokens)  # fmt: skip
    return measure.model_dump(), queries


def calibrate_training(
    estimate_sample: pl.DataFrame,
    queries: pl.DataFrame,
    corpus_params: CorpusParams,
    encoder_params: EncoderParams,
    mine_params: MineParams,
    pretrain_params: PretrainParams,
    finetune_params: FinetuneParams,
    params: EstimateParams,
) -> dict[str, Any]:
    """Four steps of each training stage, thrown away."""
    examples = training_examples(
        estimate_sample, queries, kinds=corpus_params.pair_kinds, rows=params.training_rows
    )
    stages: dict[str, tuple[TrainSettings, Loss]] = {
        "mine": (mine_params.train, "in_batch"),
        "pretrain": (pretrain_params.train, "in_batch"),
        "finetune": (finetune_params.train, "gecko"),
    }
    if mine_params.seed_retriever == "given":
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
