"""What the configured run will cost."""

from kedro.pipeline import Pipeline

from gecko_kedro.pipelines._namespace import RANKS, WRITES, stage, step
from gecko_kedro.pipelines.estimate import nodes


def create_pipeline() -> Pipeline:
    """Measure small pieces of the work on this machine and scale them up; start nothing."""
    return stage(
        "estimate",
        [
            step(
                nodes.sample_documents,
                inputs=["documents", "params:corpus", "params:estimate"],
                outputs=["estimate_sample", "corpus_measure"],
            ),
            step(
                nodes.calibrate_mining,
                inputs=["estimate_sample", "params:encoder", "params:mine", "params:estimate"],
                outputs=["encoder_measure", "search_measure"],
            ),
            step(
                nodes.calibrate_teacher,
                inputs=[
                    "estimate_sample",
                    "query_log",
                    "prompts",
                    "response_store",
                    "params:teacher",
                    "params:queries",
                    "params:synthesize",
                    "params:mine",
                    "params:relabel",
                    "params:estimate",
                ],
                outputs=["teacher_measure", "estimate_queries"],
                tags=[WRITES, RANKS],
            ),
            step(
                nodes.calibrate_training,
                inputs=[
                    "estimate_sample",
                    "estimate_queries",
                    "params:corpus",
                    "params:encoder",
                    "params:mine",
                    "params:pretrain",
                    "params:finetune",
                    "params:estimate",
                ],
                outputs="training_measures",
            ),
            step(
                nodes.estimate_run,
                inputs=[
                    "corpus_measure",
                    "encoder_measure",
                    "search_measure",
                    "teacher_measure",
                    "training_measures",
                    "query_log",
                    "parameters",
                ],
                outputs="run_estimate",
            ),
        ],
    )
