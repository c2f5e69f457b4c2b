"""base and gecko encoder -> scores between them -> the point that forgot nothing."""

from kedro.pipeline import Pipeline

from gecko_kedro.pipelines._namespace import stage, step
from gecko_kedro.pipelines.guard import nodes


def create_pipeline() -> Pipeline:
    """Sweep the weights between base and tuned, choose a point, and save that model."""
    return stage(
        "guard",
        [
            step(
                nodes.select_sweep_tasks,
                inputs=[
                    "heldout_pairs",
                    "evaluation_data",
                    "evaluation_tasks",
                    "params:evaluate.select",
                ],
                outputs="sweep_tables",
            ),
            step(
                nodes.sweep_weights,
                inputs=[
                    "sweep_tables",
                    "general_tasks",
                    "gecko_encoder",
                    "evaluation_cache",
                    "params:encoder.load",
                    "params:encoder.train.templates",
                    "params:evaluate.score.dimensions",
                    "params:guard.sweep",
                ],
                outputs=["sweep_table", "sweep_failures"],
            ),
            step(
                nodes.choose_weight,
                inputs=["sweep_table", "params:guard.choose"],
                outputs=["forgetting_table", "guard_metrics", "forgetting_plot"],
            ),
            step(
                nodes.interpolate_encoder,
                inputs=["gecko_encoder", "guard_metrics", "params:encoder.load"],
                outputs="guarded_encoder",
            ),
        ],
    )
