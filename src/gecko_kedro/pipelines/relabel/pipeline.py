"""candidates -> judgements -> FRet."""

from kedro.pipeline import Pipeline

from gecko_kedro.pipelines._namespace import stage, step
from gecko_kedro.pipelines.relabel import nodes


def create_pipeline() -> Pipeline:
    """Rank the candidates two ways, fuse, and keep rank 1 as positive and a hard negative."""
    return stage(
        "relabel",
        [
            step(
                nodes.judge_candidates,
                inputs=[
                    "queries",
                    "candidates",
                    "passages@table",
                    "finished_judgement_shards",
                    "adapted_model",
                    "relabel_teacher",
                    "params:relabel.rankers",
                    "params:relabel.judge",
                ],
                outputs=["refused_query_shards", "judgement_shards"],
            ),
            step(
                nodes.fuse_rankings,
                inputs=[
                    "candidates",
                    "judgement_shards",
                    "params:relabel.rankers",
                    "params:relabel.fuse",
                ],
                outputs="rankings",
            ),
            step(
                nodes.choose_examples,
                inputs=[
                    "rankings",
                    "queries",
                    "passages@table",
                    "refused_query_shards",
                    "params:relabel.choose",
                ],
                outputs=["fret", "fret_quarantine"],
            ),
            step(
                nodes.describe_fret,
                inputs=[
                    "fret",
                    "prompts",
                    "params:corpus.source",
                    "params:teacher",
                    "params:relabel.rankers",
                    "params:relabel.judge",
                    "params:relabel.fuse",
                    "params:relabel.choose",
                ],
                outputs="fret_card",
            ),
            step(
                nodes.sample_labels,
                inputs=[
                    "rankings",
                    "fret",
                    "passages@table",
                    "params:teacher",
                    "params:relabel.audit",
                ],
                outputs=["label_samples", "label_sample_page"],
            ),
            step(
                nodes.audit_labels,
                inputs=[
                    "rankings",
                    "fret",
                    "label_samples",
                    "queries_quarantine",
                    "fret_quarantine",
                    "prompts",
                    "params:teacher",
                ],
                outputs=[
                    "relabel_metrics",
                    "score_plot",
                    "rank_plot",
                    "agreement_plot",
                    "label_audit",
                ],
            ),
        ],
    )
