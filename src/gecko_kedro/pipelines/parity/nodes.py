"""Nodes of parity: a known model's scores beside its published ones."""

import logging
from pathlib import Path
from typing import Any

import polars as pl

from gecko_kedro import evaluation
from gecko_kedro.params import ParityParams

logger = logging.getLogger(__name__)


def score_published_model(
    parity_tasks: evaluation.ReadTasks, cache: Path, params: ParityParams
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """The model's score on every local copy, with its own prompts or none."""
    encoder = evaluation.EncoderUnderTest(
        name=Path(params.model).name,
        reference=params.model,
        templates="own",
        dims=(params.dimension,),
        max_seq_length=params.max_seq_length,
        batch_size=params.batch_size,
        device=params.device,
        dtype=params.dtype,
    )
    table = evaluation.evaluate_encoder(encoder, parity_tasks.tasks, cache_root=cache)
    return table.scores, table.failures, table.records


def compare_with_published(
    parity_scores: pl.DataFrame,
    parity_failures: pl.DataFrame,
    published_scores: dict[str, Any],
    params: ParityParams,
) -> pl.DataFrame:
    """Ours beside published."""
    table = evaluation.parity_table(
        parity_scores,
        parity_failures,
        published_scores["models"],
        runs=params.published,
        tolerance_by_type=params.tolerance_by_type,
        tolerance_by_task=params.tolerance_by_task,
    )
    logger.info("compare_with_published:\n%s", evaluation.parity_text(table, params.model))
    return table


def require_parity(parity_table: pl.DataFrame) -> dict[str, float]:
    """Stop with an error where a score is outside its tolerance."""
    evaluation.require_parity(parity_table)
    return dict(parity_table.select("task", "ours").iter_rows())
