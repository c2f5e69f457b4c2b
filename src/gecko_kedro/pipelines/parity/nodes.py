"""Nodes of parity: a known model's scores beside its published ones."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from gecko_kedro import evaluation
from gecko_kedro.encoder.settings import LoadSettings
from gecko_kedro.evaluation.comparing.settings import ParitySettings

logger = logging.getLogger(__name__)


def score_published_model(
    parity_tasks: evaluation.ReadTasks, cache: Path, load: LoadSettings, dimension: int
) -> dict[str, pl.DataFrame]:
    """The model's score on every local copy, with its own prompts or none."""
    encoder = evaluation.EncoderUnderTest(
        Path(load.reference).name, load, templates="own", dims=(dimension,)
    )
    return evaluation.evaluate_encoder(encoder, parity_tasks.tasks, cache_root=cache).tables()


def compare_with_published(
    parity_scores: Mapping[str, pl.DataFrame],
    published_scores: dict[str, Any],
    settings: ParitySettings,
) -> pl.DataFrame:
    """Ours beside published."""
    table = evaluation.parity_table(
        parity_scores["scores"], parity_scores["failures"], published_scores["models"], settings
    )
    logger.info("compare_with_published:\n%s", evaluation.parity_text(table))
    return table


def require_parity(parity_table: pl.DataFrame) -> dict[str, float]:
    """Stop with an error where a score is outside its tolerance."""
    evaluation.require_parity(parity_table)
    return dict(parity_table.select("task", "ours").iter_rows())
