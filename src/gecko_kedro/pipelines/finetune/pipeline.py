"""FRet (and other sets) -> gecko encoder."""

from kedro.pipeline import Pipeline

from gecko_kedro.pipelines._decontamination import EVALUATED
from gecko_kedro.pipelines._namespace import stage, step
from gecko_kedro.pipelines.finetune import nodes


def create_pipeline() -> Pipeline:
    """Fine-tune the pretrained encoder on the unified mixture."""
    return stage(
        "finetune",
        [
            step(
                nodes.collect_source_examples,
                inputs=[
                    "finetune_sources",
                    "params:finetune.sources",
                    "params:encoder.load",
                    "params:finetune.mine",
                ],
                outputs=["source_examples", "source_quarantine"],
            ),
            step(
                nodes.mix_finetune_examples,
                inputs=[
                    "fret",
                    "natural_pairs",
                    "candidate_passages",
                    "source_examples",
                    "params:finetune.sources",
                    "params:finetune.mix",
                ],
                outputs=["undecided_finetune_examples", "finetune_examples_quarantine"],
            ),
            step(
                nodes.decontaminate_finetune_examples,
                inputs=["undecided_finetune_examples", *EVALUATED],
                outputs=["finetune_examples", "finetune_overlaps"],
            ),
            step(
                nodes.finetune_encoder,
                inputs=[
                    "pretrained_encoder",
                    "finetune_examples",
                    "checkpoints",
                    "params:encoder.load",
                    "params:encoder.train",
                    "params:finetune.train",
                    "params:finetune.runs",
                ],
                outputs=["gecko_encoder", "finetune_history", "finetune_metrics"],
            ),
            step(nodes.plot_finetune_loss, inputs=["finetune_history"], outputs="finetune_plot"),
        ],
    )
