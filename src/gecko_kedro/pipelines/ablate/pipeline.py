"""judgements and pretrained encoder -> many short fine-tunings -> what each part is worth."""

from kedro.pipeline import Pipeline

from gecko_kedro.pipelines._namespace import stage, step
from gecko_kedro.pipelines.ablate import nodes

TASKS = ["ablation_corpus", "ablation_queries", "ablation_qrels"]
SCORES = ["ablation_scores", "ablation_per_query", "ablation_notes"]


def create_pipeline() -> Pipeline:
    """Fine-tune with one part of the recipe changed at a time, score, and compare."""
    return stage(
        "ablate",
        [
            step(
                nodes.select_tasks,
                inputs=[
                    "heldout_pairs",
                    "evaluation_data",
                    "evaluation_tasks",
                    "params:evaluate",
                ],
                outputs=[*TASKS, "ablation_quarantine"],
            ),
            step(
                nodes.run_ablations,
                inputs=[
                    "queries",
                    "passages@table",
                    "candidates",
                    "judgement_shards",
                    "natural_pairs",
                    "candidate_passages",
                    "source_examples",
                    "heldout_pairs",
                    "evaluation_data",
                    "pretrained_encoder",
                    *TASKS,
                    "evaluation_tasks",
                    "unseen_tasks",
                    "checkpoints",
                    "evaluation_cache",
                    "ablation_store",
                    "params:encoder",
                    "params:decontaminate",
                    "params:relabel",
                    "params:finetune",
                    "params:evaluate",
                    "params:ablate",
                ],
                outputs=SCORES,
            ),
            step(
                nodes.summarise_ablations,
                inputs=[
                    *SCORES,
                    "ablation_queries",
                    "params:evaluate",
                    "params:ablate",
                ],
                outputs=["ablation_table", "ablation_metrics"],
            ),
            step(nodes.plot_ablations, inputs=["ablation_table"], outputs="ablation_plot"),
        ],
    )
