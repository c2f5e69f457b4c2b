"""Nodes of ablate: what each part of the recipe is worth, beside what the paper found."""

import logging
from pathlib import Path
from typing import Any

import polars as pl

from gecko_kedro import evaluation
from gecko_kedro.corpus.settings import DecontaminateSettings
from gecko_kedro.encoder.settings import LoadSettings
from gecko_kedro.evaluation.comparing import ablation
from gecko_kedro.evaluation.comparing.settings import (
    AblationRow,
    AblationRows,
    AblationSettings,
    CompareSettings,
)
from gecko_kedro.evaluation.reporting.plots import ablation_differences
from gecko_kedro.evaluation.reporting.terminal import ablation_text
from gecko_kedro.params import FinetuneParams, RelabelParams
from gecko_kedro.pipelines._decontamination import decontaminate_examples
from gecko_kedro.pipelines.ablate.rows import Material, Mixtures, unequal_queries, without_material
from gecko_kedro.pipelines.ablate.runs import Bench, chosen_tasks, plan_runs, run_planned
from gecko_kedro.pipelines.evaluate.nodes import Tables, select_tasks
from gecko_kedro.training.settings import EncoderTraining

__all__ = ["choose_rows", "plot_ablations", "run_ablations", "select_tasks", "summarise_ablations"]

logger = logging.getLogger(__name__)


def choose_rows(rows: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    """The rows that are asked for, each behind the one that it is set against."""
    known = AblationRows.model_validate({"rows": rows, "definitions": definitions})
    return {name: row.model_dump() for name, row in known.chosen().items()}


def _read(chosen_rows: dict[str, Any]) -> dict[str, AblationRow]:
    return {name: AblationRow.model_validate(row) for name, row in chosen_rows.items()}


def run_ablations(
    queries: pl.DataFrame,
    passages: pl.DataFrame,
    candidates: pl.DataFrame,
    judgement_shards: pl.DataFrame,
    natural_pairs: pl.DataFrame,
    candidate_passages: pl.DataFrame | None,
    source_examples: pl.DataFrame,
    heldout_pairs: pl.DataFrame,
    own_data: evaluation.CheckedData | None,
    pretrained_encoder: str,
    tables: Tables,
    declared: evaluation.ReadTasks,
    unseen: evaluation.ReadTasks,
    checkpoints: Path,
    cache: Path,
    store: Path,
    chosen_rows: dict[str, Any],
    load: LoadSettings,
    encoder_training: EncoderTraining,
    dimensions: list[int],
    decontaminate_params: DecontaminateSettings,
    relabel_params: dict[str, Any],
    finetune_params: dict[str, Any],
    settings: AblationSettings,
) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, str]]:
    """Fine-tune and score each row with each seed; what the store has is not done again."""
    rows = _read(chosen_rows)
    material = Material(
        queries, passages, candidates, judgement_shards, natural_pairs, candidate_passages,
        source_examples,
    ).cut(settings.max_rows)  # fmt: skip
    finetune = FinetuneParams.model_validate(finetune_params)
    every = evaluation.from_tables(**tables, others=declared.tasks)
    tasks = chosen_tasks(every, settings.tasks)
    dims = tuple(sorted({max(dimensions), min(dimensions)}, reverse=True))
    bench = Bench(
        pretrained_encoder, tasks, load, encoder_training, dims, checkpoints, cache, store
    )

    def clean(examples: pl.DataFrame) -> pl.DataFrame:
        return decontaminate_examples(
            examples, heldout_pairs, own_data, unseen,
            load=load, params=decontaminate_params, where="ablate",
        )[0]  # fmt: skip

    mixtures = Mixtures(material, finetune, load, clean)
    left_out = without_material(rows, material, finetune)
    planned = plan_runs(
        {name: row for name, row in rows.items() if name not in left_out},
        mixtures, bench,
        relabel=RelabelParams.model_validate(relabel_params), finetune=finetune, settings=settings,
    )  # fmt: skip
    results = run_planned(planned, mixtures, bench)
    notes = unequal_queries(rows, material) | left_out
    return ablation.main_scores(results), ablation.query_scores(results), notes


def summarise_ablations(
    ablation_scores: pl.DataFrame,
    ablation_per_query: pl.DataFrame,
    notes: dict[str, str],
    tables: Tables,
    chosen_rows: dict[str, Any],
    settings: CompareSettings,
) -> tuple[pl.DataFrame, dict[str, float]]:
    """Mean and spread of each row, and its difference to its reference beside the paper's."""
    table = ablation.summarise_ablations(
        ablation_scores,
        ablation_per_query,
        evaluation.query_groups(tables["queries"]),
        _read(chosen_rows),
        notes=notes,
        **settings.model_dump(),
    )
    logger.info("summarise_ablations, in points:\n%s", ablation_text(table))
    return table, ablation.ablation_metrics(table)


def plot_ablations(ablation_table: pl.DataFrame) -> Any:
    """Our differences with their intervals, the paper's beside them."""
    return ablation_differences(ablation_table)
