"""Nodes of guard: what tuning forgot, and a point between base and tuned that keeps it."""

import logging
from pathlib import Path
from typing import Any, Literal

import polars as pl

from gecko_kedro import evaluation
from gecko_kedro.encoder.settings import LoadSettings
from gecko_kedro.evaluation.comparing.settings import SweepSettings, WeightSettings
from gecko_kedro.evaluation.tasks.settings import SelectSettings
from gecko_kedro.params import Encoder
from gecko_kedro.pipelines.evaluate.nodes import Tables, select_tasks
from gecko_kedro.pipelines.guard.sweep import score_point

logger = logging.getLogger(__name__)


def select_sweep_tasks(
    heldout_pairs: pl.DataFrame,
    own_data: evaluation.CheckedData | None,
    declared: evaluation.ReadTasks,
    settings: SelectSettings,
) -> Tables:
    """The tasks trained for, read anew: the tables of an earlier evaluate may be of other data."""
    return select_tasks(heldout_pairs, own_data, declared, settings)[0]


def sweep_weights(
    tables: Tables,
    general: evaluation.ReadTasks,
    gecko_encoder: str,
    cache: Path,
    load: LoadSettings,
    templates: Literal["gecko", "own"],
    dimensions: list[int],
    settings: SweepSettings,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Score models between base and tuned on the tasks trained for and on general ones."""
    targets = evaluation.from_tables(**tables, others=())
    tasks = [*targets, *general.tasks]
    points = {
        weight: score_point(
            weight,
            gecko_encoder,
            tasks,
            cache=cache,
            load=load,
            templates=templates,
            dimension=max(dimensions),
        )
        for weight in settings.weights
    }
    table = evaluation.sweep_table(
        points,
        evaluation.query_groups(evaluation.to_tables(tasks).queries),
        [task.name for task in targets],
        fraction=settings.choose_fraction,
        resamples=settings.resamples,
        seed=settings.seed,
    )
    return table, pl.concat(point.failures for point in points.values())


def choose_weight(
    sweep_table: pl.DataFrame, settings: WeightSettings
) -> tuple[pl.DataFrame, dict[str, float], Any]:
    """The best point without a loss on a general task, or the one that a parameter names."""
    weight = settings.weight
    if weight is None:
        weight = evaluation.choose_weight(sweep_table)
    table = sweep_table.with_columns(chosen=pl.col("weight") == weight)
    logger.info("choose_weight: %.2f of the tuned model's weights", weight)
    reported = table.filter("chosen", side="report")
    metrics = {f"{row['task']}.difference": row["difference"] for row in reported.to_dicts()}
    return table, {"weight": weight, **metrics}, evaluation.forgetting_curve(table)


def interpolate_encoder(
    gecko_encoder: str, metrics: dict[str, float], load: LoadSettings
) -> Encoder:
    """The model at the chosen point."""
    from gecko_kedro.encoder.merging import interpolate_encoders

    base, tuned = (load.load(ref, for_training=True) for ref in (None, gecko_encoder))
    return interpolate_encoders(base, tuned, tuned_share=metrics["weight"])
