"""Nodes of guard: what tuning forgot, and a point between base and tuned that keeps it."""

import logging
from pathlib import Path
from typing import Any

import polars as pl

from gecko_kedro import evaluation
from gecko_kedro.params import Encoder, EncoderParams, EvaluateParams, GuardParams
from gecko_kedro.pipelines.evaluate.nodes import select_tasks
from gecko_kedro.pipelines.guard.sweep import score_point

logger = logging.getLogger(__name__)


def sweep_weights(
    heldout_pairs: pl.DataFrame,
    own_data: evaluation.CheckedData | None,
    declared: evaluation.ReadTasks,
    general: evaluation.ReadTasks,
    gecko_encoder: str,
    cache: Path,
    encoder_params: EncoderParams,
    evaluate_params: EvaluateParams,
    params: GuardParams,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Score models between base and tuned on the tasks trained for and on general ones.

    The former are read anew: the tables of an earlier evaluate may be of other data.
    """
    *tables, _ = select_tasks(heldout_pairs, own_data, declared, evaluate_params)
    targets = evaluation.from_tables(*tables)
    tasks = [*targets, *general.tasks]
    points = {
        weight: score_point(
            weight,
            gecko_encoder,
            tasks,
            cache=cache,
            encoder_params=encoder_params,
            params=evaluate_params,
        )
        for weight in params.weights
    }
    table = evaluation.sweep_table(
        points,
        evaluation.query_groups(evaluation.to_tables(tasks).queries),
        [task.name for task in targets],
        fraction=params.choose_fraction,
        resamples=evaluate_params.resamples,
        seed=params.seed,
    )
    return table, pl.concat(point.failures for point in points.values())


def choose_weight(
    sweep_table: pl.DataFrame, params: GuardParams
) -> tuple[pl.DataFrame, dict[str, float], Any]:
    """The best point without a loss on a general task, or the one that a parameter names."""
    weight = evaluation.choose_weight(sweep_table) if params.weight is None else params.weight
    table = sweep_table.with_columns(chosen=pl.col("weight") == weight)
    logger.info("choose_weight: %.2f of the tuned model's weights", weight)
    reported = table.filter("chosen", side="report")
    metrics = {f"{row['task']}.difference": row["difference"] for row in reported.to_dicts()}
    return table, {"weight": weight, **metrics}, evaluation.forgetting_curve(table)


def interpolate_encoder(
    gecko_encoder: str, metrics: dict[str, float], encoder_params: EncoderParams
) -> Encoder:
    """The model at the chosen point."""
    from gecko_kedro.encoder.merging import interpolate_encoders

    base, tuned = (encoder_params.load(ref, for_training=True) for ref in (None, gecko_encoder))
    return interpolate_encoders(base, tuned, tuned_share=metrics["weight"])
