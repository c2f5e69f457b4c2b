"""Nodes of evaluate: base against tuned at every dimension, with intervals, and the report."""

import logging
from pathlib import Path

import polars as pl

from gecko_kedro import evaluation
from gecko_kedro.params import EncoderParams, EvaluateParams

logger = logging.getLogger(__name__)
BASE, PRETRAINED, GECKO = "base", "pretrained", "gecko"


def select_tasks(
    heldout_pairs: pl.DataFrame, own_data: evaluation.CheckedData | None, params: EvaluateParams
) -> tuple[list[evaluation.RetrievalData], pl.DataFrame]:
    """The held-out task (natural pairs that training never saw) and the user's own task."""
    tasks = [] if own_data is None else [own_data.data]
    if not heldout_pairs.is_empty():
        heldout = evaluation.heldout_from_pairs(
            heldout_pairs,
            name="heldout",
            kinds=params.pair_kinds,
            max_passages=params.max_passages,
            max_queries=params.max_queries,
            seed=params.seed,
        )
        tasks.append(heldout)
    evaluation.require_tasks(tasks)
    for task in tasks:
        logger.info(
            "select_tasks: %s has %d queries and %d passages",
            task.name, task.queries.height, task.corpus.height,
        )  # fmt: skip
    return tasks, evaluation.quarantined_of(own_data)


def score_encoders(
    tasks: list[evaluation.RetrievalData],
    pretrained_encoder: str,
    gecko_encoder: str,
    cache: Path,
    encoder_params: EncoderParams,
    params: EvaluateParams,
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """BM25, base, pretrained and tuned encoder on every task, at every dimension."""
    under_test = [
        (BASE, encoder_params.reference, "none"),
        (PRETRAINED, pretrained_encoder, "gecko"),
        (GECKO, gecko_encoder, "gecko"),
    ]
    tables = [evaluation.evaluate_bm25(tasks, cache_root=cache)]
    for name, reference, templates in under_test:
        encoder = evaluation.EncoderUnderTest(
            name=name,
            reference=reference,
            templates=templates,
            dims=tuple(params.dimensions),
            max_seq_length=encoder_params.max_seq_length,
            batch_size=encoder_params.batch_size,
            device=encoder_params.device,
            dtype=encoder_params.dtype,
        )
        tables.append(evaluation.evaluate_encoder(encoder, tasks, cache_root=cache))
    table = evaluation.concat_scores(tables)
    logger.info(
        "score_encoders: %d scores, %d failures", table.scores.height, table.failures.height
    )
    return table.scores, table.per_query, table.failures
