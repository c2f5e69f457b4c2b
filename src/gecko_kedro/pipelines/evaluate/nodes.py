"""Nodes of evaluate: base against tuned at every dimension, with intervals, and the report."""

import logging
from pathlib import Path
from typing import Any

import polars as pl

from gecko_kedro import evaluation
from gecko_kedro.params import EncoderParams, EvaluateParams
from gecko_kedro.pipelines._decontamination import overlap_counts
from gecko_kedro.pipelines.evaluate import content

logger = logging.getLogger(__name__)
BASE, PRETRAINED, GECKO = "base", "pretrained", "gecko"


def select_tasks(
    heldout_pairs: pl.DataFrame,
    own_data: evaluation.CheckedData | None,
    declared: evaluation.ReadTasks,
    params: EvaluateParams,
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """The held-out task (natural pairs that training never saw) and the user's own tasks."""
    read = declared.with_own(own_data)
    tasks = list(read.tasks)
    if not heldout_pairs.is_empty():
        heldout = evaluation.heldout_from_pairs(
            heldout_pairs,
            name="heldout",
            kinds=heldout_pairs["kind"].unique(maintain_order=True).to_list(),
            max_passages=params.max_passages,
            max_queries=params.max_queries,
            seed=params.seed,
        )
        tasks.append(heldout)
    evaluation.require_tasks(tasks)
    for task in tasks:
        logger.info("select_tasks: %s (%s), %s", task.name, task.type, task.size)
    return *evaluation.to_tables(tasks), read.quarantine


def score_encoders(
    corpus: pl.DataFrame,
    queries: pl.DataFrame,
    qrels: pl.DataFrame,
    declared: evaluation.ReadTasks,
    pretrained_encoder: str,
    gecko_encoder: str,
    cache: Path,
    encoder_params: EncoderParams,
    params: EvaluateParams,
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """BM25, base, pretrained, tuned encoder and the hybrid on every task, at every dimension."""
    tasks = evaluation.from_tables(corpus, queries, qrels, others=declared.tasks)
    tables = [evaluation.evaluate_bm25(tasks, cache_root=cache)]
    for name, reference in (
        (BASE, encoder_params.reference),
        (PRETRAINED, pretrained_encoder),
        (GECKO, gecko_encoder),
    ):
        encoder = evaluation.EncoderUnderTest(
            name=name,
            reference=reference,
            templates="own" if name == BASE else encoder_params.templates,
            dims=tuple(params.dimensions),
            max_seq_length=encoder_params.max_seq_length,
            batch_size=encoder_params.batch_size,
            device=encoder_params.device,
            dtype=encoder_params.dtype,
            precisions=tuple(params.precisions) if name == GECKO else ("float32",),
        )
        constant = params.hybrid_constant if name == GECKO else None
        tables.append(
            evaluation.evaluate_encoder(encoder, tasks, cache_root=cache, hybrid_constant=constant)
        )
    table = evaluation.concat_scores(tables)
    return table.scores, table.per_query, table.failures, table.records


def compare_encoders(
    scores: pl.DataFrame,
    per_query: pl.DataFrame,
    failures: pl.DataFrame,
    queries: pl.DataFrame,
    published: dict[str, Any],
    params: EvaluateParams,
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, pl.DataFrame, dict[str, float]]:
    """Paired differences with intervals: to the base, what fine-tuning adds, by group."""
    comparison = evaluation.compare(
        evaluation.ScoreTable(scores, per_query, failures),
        evaluation.query_groups(queries),
        base=BASE,
        tuned=GECKO,
        pretrained=PRETRAINED,
        resamples=params.resamples,
        seed=params.seed,
    )
    logger.info("compare_encoders: %s", evaluation.headline(comparison))
    categories = evaluation.category_table(comparison.results, published["paper_by_category"])
    metrics = content.result_metrics(comparison.results)
    return comparison.results, comparison.fret, comparison.by_group, categories, metrics


def plot_results(
    results: pl.DataFrame, fret_gain: pl.DataFrame, by_group: pl.DataFrame
) -> tuple[Any, Any]:
    """nDCG@10 by dimension, and the differences by query group."""
    comparison = evaluation.Comparison(results, fret_gain, by_group)
    return evaluation.dimension_curve(comparison), evaluation.group_differences(comparison)


def list_moved_queries(
    per_query: pl.DataFrame,
    corpus: pl.DataFrame,
    queries: pl.DataFrame,
    qrels: pl.DataFrame,
    params: EvaluateParams,
) -> pl.DataFrame:
    """The queries that gained and lost most, with the passages that moved."""
    return evaluation.moved_queries(
        per_query, corpus, queries, qrels, base=BASE, tuned=GECKO, count=params.moved_queries
    )


def list_decontamination(
    passage_overlaps: pl.DataFrame,
    query_overlaps: pl.DataFrame,
    pretrain_overlaps: pl.DataFrame,
    finetune_overlaps: pl.DataFrame,
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """All training rows that overlap with the evaluation in one table, and their counts."""
    table = pl.concat([passage_overlaps, query_overlaps, pretrain_overlaps, finetune_overlaps])
    return table, overlap_counts(table)


def export_encoder(
    gecko_encoder: str,
    results: pl.DataFrame,
    finetune_examples: pl.DataFrame,
    pretrain_examples: pl.DataFrame,
    label_audit: dict[str, Any],
    parameters: dict[str, Any],
) -> tuple[str, tuple[str, str]]:
    """The card, with what a user of the model has to know, and the model's folder with it."""
    facts = content.model_facts(pretrain_examples, finetune_examples, label_audit, parameters)
    card = evaluation.model_card(facts, evaluation.Comparison(results))
    return card, (gecko_encoder, card)


def write_report(
    results: pl.DataFrame,
    fret_gain: pl.DataFrame,
    by_group: pl.DataFrame,
    categories: pl.DataFrame,
    failures: pl.DataFrame,
    records: pl.DataFrame,
    moved: pl.DataFrame,
    decontamination: pl.DataFrame,
    pretrain_history: pl.DataFrame,
    finetune_history: pl.DataFrame,
    corpus_metrics: dict[str, Any],
    label_audit: dict[str, Any],
    forgetting: pl.DataFrame,
    ablations: pl.DataFrame,
    ledger: dict[str, Any],
    parameters: dict[str, Any],
) -> str:
    """One self-contained HTML page of the run."""
    return evaluation.write_report(
        evaluation.ReportContent(
            title="gecko_kedro",
            created=ledger["run"]["started"],
            teacher=label_audit.get("teacher"),
            comparison=evaluation.Comparison(results, fret_gain, by_group),
            failures=failures,
            categories=categories,
            records=records,
            forgetting=forgetting,
            ablations=ablations,
            audit=label_audit,
            corpus_counts=corpus_metrics.get("counts", {}),
            quarantine=corpus_metrics.get("quarantined", {}),
            histories={"Pre-finetuning": pretrain_history, "Fine-tuning": finetune_history},
            moved=moved,
            decontamination=decontamination,
            costs=content.node_costs(ledger),
            versions=ledger["run"]["versions"],
            parameters=content.plain(parameters),
        )
    )
