"""base, pretrained and gecko encoder -> scores -> report."""

from kedro.pipeline import Pipeline

from gecko_kedro.pipelines._namespace import stage, step
from gecko_kedro.pipelines.evaluate import nodes

TASKS = ["evaluation_corpus", "evaluation_queries", "evaluation_qrels"]
COMPARISON = ["results_table", "fret_gain_table", "group_table"]
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
                    "params:evaluate",
                ],
                outputs=[*TASKS, "evaluation_quarantine"],
            ),
            step(
                nodes.score_encoders,
                inputs=[
                    *TASKS,
                    "evaluation_tasks",
                    "pretrained_encoder",
                    "gecko_encoder",
                    "evaluation_cache",
                    "params:encoder",
                    "params:evaluate",
                ],
                outputs=[
                    "evaluation_scores",
                    "evaluation_per_query",
                    "evaluation_failures",
                    "evaluation_records",
                ],
            ),
            step(
                nodes.compare_encoders,
                inputs=[
                    "evaluation_scores",
                    "evaluation_per_query",
                    "evaluation_failures",
                    "evaluation_queries",
                    "published_scores",
                    "params:evaluate",
                ],
                outputs=[*COMPARISON, "category_table", "evaluate_metrics"],
            ),
            step(nodes.plot_results, inputs=COMPARISON, outputs=["dimension_plot", "group_plot"]),
            step(
                nodes.list_moved_queries,
                inputs=["evaluation_per_query", *TASKS, "params:evaluate"],
                outputs="moved_queries",
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
                    "results_table",
                    "finetune_examples",
                    "pretrain_examples",
                    "label_audit",
                    "parameters",
                ],
                outputs=["model_card", "exported_encoder"],
            ),
            step(
                nodes.write_report,
                inputs=[
                    *COMPARISON,
                    "category_table",
                    "evaluation_failures",
                    "evaluation_records",
                    "moved_queries",
                    "decontamination_table",
                    "pretrain_history",
                    "finetune_history",
                    "corpus_metrics",
                    "label_audit",
                    "forgetting_table",
                    "ablation_table",
                    "run_ledger",
                    "parameters",
                ],
                outputs="report",
            ),
        ],
    )
