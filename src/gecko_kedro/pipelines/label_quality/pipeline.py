"""judged queries -> candidates -> judgements -> how well each ranker ranks."""

from kedro.pipeline import Pipeline

from gecko_kedro.pipelines._namespace import stage, step
from gecko_kedro.pipelines.label_quality import nodes


def create_pipeline() -> Pipeline:
    """Let the teacher rank what people have judged; it is no part of the default run."""
    return stage(
        "label_quality",
        [
            step(
                nodes.select_judged,
                inputs=[
                    "judged_data",
                    "pairs_to_check",
                    "passages_to_check",
                    "teacher_to_adapt",
                    "params:label_quality.select",
                ],
                outputs=["judged_queries", "judged_passages", "judged_qrels"],
            ),
            step(
                nodes.find_candidates,
                inputs=[
                    "judged_queries",
                    "judged_passages",
                    "params:encoder.load",
                    "params:mine.embed.max_seq_length",
                    "params:mine.search.n_candidates",
                ],
                outputs="judged_candidates",
            ),
            step(
                nodes.judge_candidates,
                inputs=[
                    "judged_queries",
                    "judged_candidates",
                    "judged_passages",
                    "adapted_model",
                    "label_quality_teacher",
                    "params:relabel.rankers",
                    "params:relabel.judge",
                ],
                outputs="judged_judgements",
            ),
            step(
                nodes.measure_labels,
                inputs=[
                    "judged_candidates",
                    "judged_judgements",
                    "judged_qrels",
                    "params:teacher",
                    "params:relabel.rankers",
                    "params:relabel.fuse",
                    "params:label_quality.compare",
                ],
                outputs=["label_quality_table", "label_quality_metrics", "label_quality_plot"],
            ),
        ],
    )
