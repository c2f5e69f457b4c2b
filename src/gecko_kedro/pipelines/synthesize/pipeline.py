"""corpus -> passages -> (task, query)."""

from kedro.pipeline import Pipeline

from gecko_kedro.pipelines._namespace import stage, step
from gecko_kedro.pipelines.synthesize import nodes


def create_pipeline() -> Pipeline:
    """Read a corpus, hold a part back, and let the teacher write queries for seed passages."""
    return stage(
        "synthesize",
        [
            step(
                nodes.read_passages,
                inputs=["documents", "params:corpus.passages"],
                outputs=["all_passages", "passages_quarantine", "corpus_metrics"],
            ),
            step(
                nodes.split_passages,
                inputs=["all_passages", "params:corpus.heldout"],
                outputs=["undecided_passages", "heldout_passages"],
            ),
            step(
                nodes.decontaminate_passages,
                inputs=[
                    "undecided_passages",
                    "heldout_passages",
                    "evaluation_data",
                    "unseen_tasks",
                    "params:encoder.load",
                    "params:decontaminate",
                ],
                outputs=["passages@table", "passage_overlaps", "passage_overlap_metrics"],
            ),
            step(
                nodes.pair_passages,
                inputs=["passages@table", "heldout_passages", "params:corpus.pairs"],
                outputs=["natural_pairs", "heldout_pairs", "natural_pairs_quarantine"],
            ),
            step(
                nodes.adapt_teacher,
                inputs=[
                    "natural_pairs",
                    "passages@table",
                    "adapt_sources",
                    "adaptation_checkpoints",
                    "teacher_to_adapt",
                ],
                outputs=["adapted_model", "adaptation_metrics"],
            ),
            step(
                nodes.sample_seeds,
                inputs=[
                    "passages@table",
                    "params:queries.source",
                    "params:queries.join.use",
                    "params:synthesize.sample",
                ],
                outputs="seed_passages",
            ),
            step(
                nodes.synthesize_queries,
                inputs=[
                    "seed_passages",
                    "passages@table",
                    "finished_query_shards",
                    "adapted_model",
                    "synthesize_teacher",
                    "params:synthesize.write",
                ],
                outputs=["rejected_reply_shards", "query_shards"],
            ),
            step(
                nodes.collect_queries,
                inputs=[
                    "query_shards",
                    "query_log",
                    "heldout_pairs",
                    "evaluation_data",
                    "unseen_tasks",
                    "params:queries.join",
                    "params:encoder.load",
                    "params:decontaminate",
                ],
                outputs=["undecided_queries", "query_overlaps"],
            ),
            step(
                nodes.filter_queries,
                inputs=[
                    "undecided_queries",
                    "query_overlaps",
                    "rejected_reply_shards",
                    "query_log",
                    "passages@table",
                    "heldout_pairs",
                    "params:encoder.load",
                    "params:synthesize.filter",
                ],
                outputs=["queries", "queries_quarantine"],
            ),
            step(
                nodes.report_queries,
                inputs=["queries", "queries_quarantine", "prompts", "params:synthesize.write"],
                outputs=["synthesize_metrics", "query_plot"],
            ),
        ],
    )
