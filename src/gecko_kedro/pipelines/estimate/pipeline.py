"""What the configured run will cost."""

from kedro.pipeline import Pipeline

from gecko_kedro.pipelines._namespace import stage, step
from gecko_kedro.pipelines.estimate import nodes


def create_pipeline() -> Pipeline:
    """Measure small pieces of the work on this machine and scale them up; start nothing."""
    return stage(
        "estimate",
        [
            step(
                nodes.sample_documents,
                inputs=[
                    "documents",
                    "params:corpus",
                    "params:synthesize.sample.n_seeds",
                    "params:estimate.documents",
                    "params:estimate.queries",
                ],
                outputs=["estimate_sample", "corpus_measure"],
            ),
            step(
                nodes.calibrate_mining,
                inputs=[
                    "estimate_sample",
                    "params:encoder.load",
                    "params:mine.embed",
                    "params:mine.search",
                    "params:estimate.texts",
                    "params:estimate.seed",
                ],
                outputs=["encoder_measure", "search_measure"],
            ),
            step(
                nodes.calibrate_teacher,
                inputs=[
                    "estimate_sample",
                    "query_log",
                    "estimate_teacher",
                    "params:queries.join",
                    "params:synthesize",
                    "params:mine.search.n_candidates",
                    "params:relabel",
                    "params:estimate.queries",
                ],
                outputs=["teacher_measure", "estimate_queries"],
            ),
            step(
                nodes.draw_examples,
                inputs=[
                    "estimate_sample",
                    "estimate_queries",
                    "params:corpus.pairs",
                    "params:estimate.training_rows",
                ],
                outputs="estimate_examples",
            ),
            step(
                nodes.calibrate_training,
                inputs=[
                    "estimate_examples",
                    "params:encoder.load",
                    "params:encoder.train",
                    "params:mine.seed_retriever",
                    "params:mine.train",
                    "params:pretrain.train",
                    "params:finetune.train",
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
                    "params:teacher.prices",
                    "parameters",
                ],
                outputs="run_estimate",
            ),
        ],
    )
