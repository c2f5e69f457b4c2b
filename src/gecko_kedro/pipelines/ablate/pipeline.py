"""judgements and pretrained encoder -> many short fine-tunings -> what each part is worth."""

from kedro.pipeline import Pipeline

from gecko_kedro.pipelines._namespace import stage, step
from gecko_kedro.pipelines.ablate import nodes

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
                    "params:evaluate.select",
                ],
                outputs=["ablation_tables", "ablation_quarantine"],
            ),
            step(
                nodes.choose_rows,
                inputs=["params:ablate.rows", "params:ablate.definitions"],
                outputs="ablation_rows",
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
                    "ablation_tables",
                    "evaluation_tasks",
                    "unseen_tasks",
                    "checkpoints",
                    "evaluation_cache",
                    "ablation_store",
                    "ablation_rows",
                    "params:encoder.load",
                    "params:encoder.train",
                    "params:evaluate.score.dimensions",
                    "params:decontaminate",
                    "params:relabel",
                    "params:finetune",
                    "params:ablate.run",
                ],
                outputs=SCORES,
            ),
            step(
                nodes.summarise_ablations,
                inputs=[*SCORES, "ablation_tables", "ablation_rows", "params:ablate.compare"],
                outputs=["ablation_table", "ablation_metrics"],
            ),
            step(nodes.plot_ablations, inputs=["ablation_table"], outputs="ablation_plot"),
        ],
    )
