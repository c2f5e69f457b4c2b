"""base, pretrained and gecko encoder -> scores -> report."""

from kedro.pipeline import Pipeline

from gecko_kedro.pipelines._namespace import stage, step
from gecko_kedro.pipelines.evaluate import nodes

OVERLAPS = ["passage_overlaps", "query_overlaps", "pretrain_overlaps", "finetune_overlaps"]


def create_pipeline() -> Pipeline:
    """Score the encoders, compare them with intervals, and write the report."""
    return stage(
        "evaluate",
        [
            step(
                nodes.select_tasks,
                inputs=[
                    "heldout_pairs",
                    "evaluation_data",
                    "evaluation_tasks",
                    "params:evaluate.select",
                ],
                outputs=["evaluation_tables", "evaluation_quarantine"],
            ),
            step(
                nodes.score_encoders,
                inputs=[
                    "evaluation_tables",
                    "evaluation_tasks",
                    "pretrained_encoder",
                    "gecko_encoder",
                    "evaluation_cache",
                    "params:encoder.load",
                    "params:encoder.train.templates",
                    "params:evaluate.score",
                ],
                outputs="evaluation_scores",
            ),
            step(
                nodes.compare_encoders,
                inputs=[
                    "evaluation_scores",
                    "evaluation_tables",
                    "published_scores",
                    "params:evaluate.compare",
                ],
                outputs=["comparison", "evaluate_metrics"],
            ),
            step(
                nodes.show_results,
                inputs=[
                    "comparison",
                    "evaluation_scores",
                    "evaluation_tables",
                    "params:evaluate.show",
                ],
                outputs=["dimension_plot", "group_plot", "moved_queries"],
            ),
            step(
                nodes.list_decontamination,
                inputs=OVERLAPS,
                outputs=["decontamination_table", "decontamination_metrics"],
            ),
            step(
                nodes.export_encoder,
                inputs=[
                    "gecko_encoder",
                    "comparison",
                    "finetune_examples",
                    "pretrain_examples",
                    "label_audit",
                    "parameters",
                ],
                outputs=["model_card", "exported_encoder"],
            ),
            step(
                nodes.collect_facts,
                inputs=[
                    "pretrain_history",
                    "finetune_history",
                    "corpus_metrics",
                    "adaptation_metrics",
                    "label_audit",
                    "forgetting_table",
                    "ablation_table",
                    "label_quality_table",
                ],
                outputs="report_facts",
            ),
            step(
                nodes.write_report,
                inputs=[
                    "comparison",
                    "evaluation_scores",
                    "moved_queries",
                    "decontamination_table",
                    "report_facts",
                    "run_ledger",
                    "parameters",
                ],
                outputs="report",
            ),
        ],
    )
