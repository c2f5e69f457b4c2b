"""Nodes of guard: what tuning forgot, and a point between base and tuned that keeps it."""

import logging
import tempfile
from pathlib import Path
from typing import Any, Literal

import polars as pl

from gecko_kedro import evaluation
from gecko_kedro.encoder.settings import LoadSettings
from gecko_kedro.evaluation.comparing.settings import SweepSettings, WeightSettings
from gecko_kedro.evaluation.tasks.settings import SelectSettings
from gecko_kedro.params import Encoder
from gecko_kedro.pipelines.evaluate.nodes import Tables, select_tasks

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
    """Score models between base and tuned, at full width, on tasks trained for and on general ones.

    The base (0) is scored as in evaluate, with its own prompts or none; every other point gets the
    templates that the tuned model was trained with. Scores are cached by the digest of the weights.
    """
    targets = evaluation.from_tables(**tables, others=())
    tasks = [*targets, *general.tasks]
    points = {}
    for weight in settings.weights:
        with tempfile.TemporaryDirectory(prefix="gecko-guard-") as folder:
            encoder = evaluation.EncoderUnderTest(
                name="base" if weight == 0 else f"guard-{weight:g}",
                load=load.of(_reference(weight, gecko_encoder, Path(folder), load)),
                templates="own" if weight == 0 else templates,
                dims=(max(dimensions),),
            )
            points[weight] = evaluation.evaluate_encoder(encoder, tasks, cache_root=cache)
    table = evaluation.sweep_table(
        points,
        evaluation.query_groups(evaluation.to_tables(tasks).queries),
        [task.name for task in targets],
        settings,
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


def _reference(weight: float, tuned: str, folder: Path, load: LoadSettings) -> str:
    from gecko_kedro.encoder.saving import save_encoder

    if weight in {0, 1}:
        return tuned if weight == 1 else load.reference
    save_encoder(interpolate_encoder(tuned, {"weight": weight}, load), folder / "encoder")
    return str(folder / "encoder")
