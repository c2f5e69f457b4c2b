"""Nodes of ablate: what each part of the recipe is worth, beside what the paper found."""

import logging
from pathlib import Path
from typing import Any

import polars as pl

from gecko_kedro import evaluation
from gecko_kedro.evaluation.comparing import ablation
from gecko_kedro.evaluation.reporting.difference_plots import ablation_differences
from gecko_kedro.evaluation.reporting.terminal import ablation_text
from gecko_kedro.params import (
    AblateParams,
    DecontaminateParams,
    EncoderParams,
    EvaluateParams,
    FinetuneParams,
    RelabelParams,
)
from gecko_kedro.pipelines._decontamination import decontaminate_examples
from gecko_kedro.pipelines.ablate.rows import (
    Material,
    Mixtures,
    unequal_queries,
    without_material,
)
from gecko_kedro.pipelines.ablate.runs import Bench, chosen_tasks, plan_runs, run_planned
from gecko_kedro.pipelines.evaluate.nodes import select_tasks

__all__ = ["plot_ablations", "run_ablations", "select_tasks", "summarise_ablations"]

logger = logging.getLogger(__name__)


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
    corpus: pl.DataFrame,
    task_queries: pl.DataFrame,
    qrels: pl.DataFrame,
    declared: evaluation.ReadTasks,
    unseen: evaluation.ReadTasks,
    checkpoints: Path,
    cache: Path,
    store: Path,
    encoder_params: EncoderParams,
    decontaminate_params: DecontaminateParams,
    relabel_params: RelabelParams,
    finetune_params: FinetuneParams,
    evaluate_params: EvaluateParams,
    params: AblateParams,
) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, str]]:
    """Fine-tune and score each row with each seed; what the store has is not done again."""
    material = Material(
        queries, passages, candidates, judgement_shards, natural_pairs, candidate_passages,
        source_examples,
    ).cut(params.max_rows)  # fmt: skip
    every = evaluation.from_tables(corpus, task_queries, qrels, others=declared.tasks)
    tasks = chosen_tasks(every, params.tasks)
    bench = Bench(
        pretrained_encoder, tasks, encoder_params, evaluate_params, checkpoints, cache, store
    )
    rows = params.chosen()

    def clean(examples: pl.DataFrame) -> pl.DataFrame:
        return decontaminate_examples(
            examples, heldout_pairs, own_data, unseen,
            encoder_params=encoder_params, params=decontaminate_params, where="ablate",
        )[0]  # fmt: skip

    mixtures = Mixtures(material, finetune_params, encoder_params, clean)
    left_out = without_material(rows, material, finetune_params)
    planned = plan_runs(
        {name: row for name, row in rows.items() if name not in left_out},
        mixtures, bench, relabel=relabel_params, finetune=finetune_params, params=params,
    )  # fmt: skip
    results = run_planned(planned, mixtures, bench)
    notes = unequal_queries(rows, material) | left_out
    return ablation.main_scores(results), ablation.query_scores(results), notes


def summarise_ablations(
    ablation_scores: pl.DataFrame,
    ablation_per_query: pl.DataFrame,
    notes: dict[str, str],
    task_queries: pl.DataFrame,
    evaluate_params: EvaluateParams,
    params: AblateParams,
) -> tuple[pl.DataFrame, dict[str, float]]:
    """Mean and spread of each row, and its difference to its reference beside the paper's."""
    table = ablation.summarise_ablations(
        ablation_scores,
        ablation_per_query,
        evaluation.query_groups(task_queries),
        params.chosen(),
        notes=notes,
        resamples=evaluate_params.resamples,
        seed=evaluate_params.seed,
    )
    logger.info("summarise_ablations, in points:\n%s", ablation_text(table))
    return table, ablation.ablation_metrics(table)


def plot_ablations(ablation_table: pl.DataFrame) -> Any:
    """Our differences with their intervals, the paper's beside them."""
    return ablation_differences(ablation_table)
