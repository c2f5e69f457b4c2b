"""natural pairs -> pretrained encoder."""

from kedro.pipeline import Pipeline

from gecko_kedro.pipelines._decontamination import EVALUATED
from gecko_kedro.pipelines._namespace import stage, step
from gecko_kedro.pipelines.pretrain import nodes


def create_pipeline() -> Pipeline:
    """Pre-finetune the base encoder on the corpus's natural pairs."""
    return stage(
        "pretrain",
        [
            step(
                nodes.select_pretrain_examples,
                inputs=[
                    "natural_pairs",
                    "pretrain_sources",
                    "params:pretrain.sources",
                    "params:pretrain.select",
                ],
                outputs=["undecided_pretrain_examples", "pretrain_examples_quarantine"],
            ),
            step(
                nodes.decontaminate_pretrain_examples,
                inputs=["undecided_pretrain_examples", *EVALUATED],
                outputs=["pretrain_examples", "pretrain_overlaps"],
            ),
            step(
                nodes.pretrain_encoder,
                inputs=[
                    "pretrain_examples",
                    "checkpoints",
                    "params:encoder.load",
                    "params:encoder.train",
                    "params:pretrain.train",
                ],
                outputs=["pretrained_encoder", "pretrain_history", "pretrain_metrics"],
            ),
            step(nodes.plot_pretrain_loss, inputs=["pretrain_history"], outputs="pretrain_plot"),
        ],
    )
