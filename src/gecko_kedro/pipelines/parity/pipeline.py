"""local copies of MTEB -> a known model's scores -> beside its published ones."""

from kedro.pipeline import Pipeline

from gecko_kedro.pipelines._namespace import stage, step
from gecko_kedro.pipelines.parity import nodes


def create_pipeline() -> Pipeline:
    """Score a model whose scores are published, and compare."""
    return stage(
        "parity",
        [
            step(
                nodes.score_published_model,
                inputs=[
                    "parity_tasks",
                    "evaluation_cache",
                    "params:parity.load",
                    "params:parity.dimension",
                ],
                outputs="parity_scores",
            ),
            step(
                nodes.compare_with_published,
                inputs=["parity_scores", "published_scores", "params:parity.compare"],
                outputs="parity_table",
            ),
            step(nodes.require_parity, inputs=["parity_table"], outputs="parity_metrics"),
        ],
    )
