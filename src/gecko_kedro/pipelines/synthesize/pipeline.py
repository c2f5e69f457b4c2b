"""corpus -> passages -> (task, query)."""

from kedro.pipeline import Pipeline

from gecko_kedro.pipelines._namespace import WRITES, stage, step
from gecko_kedro.pipelines.synthesize import nodes


def create_pipeline() -> Pipeline:
    """Read a corpus, hold a part back, and let the teacher write queries for seed passages."""
    return stage(
        "synthesize",
        [
            step(
                nodes.read_passages,
                inputs=["documents", "params:corpus"],
                outputs=["all_passages", "passages_quarantine", "corpus_metrics"],
            ),
            step(
                nodes.split_passages,
                inputs=["all_passages", "params:corpus"],
                outputs=["undecided_passages", "heldout_passages"],
            ),
            step(
                nodes.decontaminate_passages,
                inputs=[
                    "undecided_passages",
                    "heldout_passages",
                    "evaluation_data",
                    "unseen_tasks",
                    "params:encoder",
                    "params:decontaminate",
                ],
                outputs=["passages@table", "passage_overlaps", "passage_overlap_metrics"],
            ),
            step(
                nodes.pair_passages,
                inputs=["passages@table", "heldout_passages", "params:corpus"],
                outputs=["natural_pairs", "heldout_pairs", "natural_pairs_quarantine"],
            ),
            step(
                nodes.sample_seeds,
                inputs=["passages@table", "params:queries", "params:synthesize"],
                outputs="seed_passages",
            ),
            step(
                nodes.synthesize_queries,
                inputs=[
                    "seed_passages",
                    "passages@table",
                    "prompts",
                    "response_store",
                    "finished_query_shards",
                    "params:teacher",
                    "params:engine",
                    "params:synthesize",
                ],
                outputs=["rejected_reply_shards", "query_shards"],
                tags=[WRITES],
            ),
            step(
                nodes.filter_queries,
                inputs=[
                    "query_shards",
                    "rejected_reply_shards",
                    "query_log",
                    "passages@table",
                    "heldout_pairs",
                    "evaluation_data",
                    "unseen_tasks",
                    "params:queries",
                    "params:encoder",
                    "params:decontaminate",
                    "params:synthesize",
                ],
                outputs=["queries", "queries_quarantine", "query_overlaps"],
            ),
            step(
                nodes.report_queries,
                inputs=["queries", "queries_quarantine", "prompts", "params:synthesize"],
                outputs=["synthesize_metrics", "query_plot"],
            ),
        ],
    )
