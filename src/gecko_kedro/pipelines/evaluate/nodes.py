"""Nodes of evaluate: base against tuned at every dimension, with intervals, and the report."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import polars as pl

from gecko_kedro import evaluation
from gecko_kedro.encoder.record import read_stages
from gecko_kedro.encoder.settings import LoadSettings
from gecko_kedro.evaluation.comparing.settings import CompareSettings, ShowSettings
from gecko_kedro.evaluation.scoring.settings import ScoreSettings
from gecko_kedro.evaluation.tasks.settings import SelectSettings
from gecko_kedro.pipelines._decontamination import overlap_counts
from gecko_kedro.pipelines.evaluate import content

Tables = Mapping[str, pl.DataFrame]
logger = logging.getLogger(__name__)
BASE, PRETRAINED, GECKO = "base", "pretrained", "gecko"


def select_tasks(
    heldout_pairs: pl.DataFrame,
    own_data: evaluation.CheckedData | None,
    declared: evaluation.ReadTasks,
    settings: SelectSettings,
) -> tuple[Tables, pl.DataFrame]:
    """The held-out task (natural pairs that training never saw) and the user's own tasks."""
    read = declared.with_own(own_data)
    tasks = list(read.tasks)
    if not heldout_pairs.is_empty():
        heldout = evaluation.heldout_from_pairs(
            heldout_pairs,
            name="heldout",
            kinds=heldout_pairs["kind"].unique(maintain_order=True).to_list(),
            **settings.model_dump(),
        )
        tasks.append(heldout)
    evaluation.require_tasks(tasks)
    for task in tasks:
        logger.info("select_tasks: %s (%s), %s", task.name, task.type, task.size)
    return evaluation.to_tables(tasks)._asdict(), read.quarantine


def score_encoders(
    tables: Tables,
    declared: evaluation.ReadTasks,
    pretrained_encoder: str,
    gecko_encoder: str,
    cache: Path,
    load: LoadSettings,
    templates: Literal["gecko", "own"],
    settings: ScoreSettings,
) -> Tables:
    """BM25, base, pretrained, tuned encoder and the hybrid on every task, at every dimension."""
    tasks = evaluation.from_tables(**tables, others=declared.tasks)
    scored = [evaluation.evaluate_bm25(tasks, cache_root=cache)]
    encoders = {BASE: load.reference, PRETRAINED: pretrained_encoder, GECKO: gecko_encoder}
    for name, reference in encoders.items():
        encoder = evaluation.EncoderUnderTest(
            name,
            load.of(reference),
            # What no stage has trained, as the base itself, does not know the templates.
            templates=templates if name != BASE and read_stages(reference) else "own",
            dims=tuple(settings.dimensions),
            precisions=tuple(settings.precisions) if name == GECKO else ("float32",),
        )
        constant = settings.hybrid_constant if name == GECKO else None
        scored.append(
            evaluation.evaluate_encoder(encoder, tasks, cache_root=cache, hybrid_constant=constant)
        )
    return evaluation.concat_scores(scored).tables()


def compare_encoders(
    scores: Tables, tables: Tables, published: dict[str, Any], settings: CompareSettings
) -> tuple[Tables, dict[str, float]]:
    """Paired differences with intervals: to the base, what fine-tuning adds, by group."""
    comparison = evaluation.compare(
        evaluation.ScoreTable.of(scores),
        evaluation.query_groups(tables["queries"]),
        base=BASE,
        tuned=GECKO,
        pretrained=PRETRAINED,
        **settings.model_dump(),
    )
    logger.info("compare_encoders: %s", evaluation.headline(comparison))
    compared = {name: getattr(comparison, name) for name in ("results", "fret", "by_group")}
    categories = evaluation.category_table(comparison.results, published["paper_by_category"])
    return compared | {"categories": categories}, content.result_metrics(comparison.results)


def show_results(
    compared: Tables, scores: Tables, tables: Tables, settings: ShowSettings
) -> tuple[Any, Any, pl.DataFrame]:
    """nDCG@10 by dimension, the differences by query group, and the queries that moved most."""
    comparison = content.comparison(compared)
    moved = evaluation.moved_queries(
        scores["per_query"], **tables, base=BASE, tuned=GECKO, count=settings.moved_queries
    )
    return evaluation.dimension_curve(comparison), evaluation.group_differences(comparison), moved


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
    compared: Tables,
    finetune_examples: pl.DataFrame,
    pretrain_examples: pl.DataFrame,
    label_audit: dict[str, Any],
    parameters: dict[str, Any],
) -> tuple[str, tuple[str, str]]:
    """The card, with what a user of the model has to know, and the model's folder with it."""
    facts = content.model_facts(pretrain_examples, finetune_examples, label_audit, parameters)
    card = evaluation.model_card(facts, content.comparison(compared))
    return card, (gecko_encoder, card)


def collect_facts(
    pretrain_history: pl.DataFrame,
    finetune_history: pl.DataFrame,
    corpus_metrics: dict[str, Any],
    adaptation_metrics: dict[str, Any],
    label_audit: dict[str, Any],
    forgetting: pl.DataFrame,
    ablations: pl.DataFrame,
    label_quality: pl.DataFrame,
) -> dict[str, Any]:
    """What the report tells of the other pipelines; nothing of those that have not run."""
    return {
        "training": {
            "Pre-finetuning": pretrain_history.to_dicts(),
            "Fine-tuning": finetune_history.to_dicts(),
        },
        "corpus": corpus_metrics,
        "adaptation": adaptation_metrics,
        "label_audit": label_audit,
        "forgetting": forgetting.fill_nan(None).to_dicts(),
        "ablations": ablations.fill_nan(None).to_dicts(),
        "label_quality": label_quality.to_dicts(),
    }


def write_report(
    compared: Tables,
    scores: Tables,
    moved: pl.DataFrame,
    decontamination: pl.DataFrame,
    report_facts: dict[str, Any],
    ledger: dict[str, Any],
    parameters: dict[str, Any],
) -> str:
    """One self-contained HTML page of the run."""
    return evaluation.write_report(
        evaluation.ReportContent(
            title="gecko_kedro",
            created=ledger["run"]["started"],
            comparison=content.comparison(compared),
            failures=scores["failures"],
            categories=compared["categories"],
            records=scores["records"],
            moved=moved,
            decontamination=decontamination,
            costs=content.node_costs(ledger),
            versions=ledger["run"]["versions"],
            parameters=content.plain(parameters),
            **content.other_pipelines(report_facts),
        )
    )
