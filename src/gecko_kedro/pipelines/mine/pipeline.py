"""(task, query) -> the N nearest passages."""

from kedro.pipeline import Pipeline

from gecko_kedro.pipelines._namespace import stage, step
from gecko_kedro.pipelines.mine import nodes

EMBED = ["params:encoder.load", "params:engine", "params:mine.embed"]


def create_pipeline() -> Pipeline:
    """Train a seed retriever on the synthetic pairs and search the candidates with it."""
    return stage(
        "mine",
        [
            step(
                nodes.select_seed_examples,
                inputs=["queries", "passages@scan"],
                outputs=["seed_examples", "seed_examples_quarantine"],
            ),
            step(
                nodes.train_seed_retriever,
                inputs=[
                    "seed_examples",
                    "seed_retriever_checkpoints",
                    "params:encoder.load",
                    "params:mine.encoder",
                    "params:mine.seed_retriever",
                    "params:mine.train",
                ],
                outputs=["seed_retriever", "seed_retriever_history"],
            ),
            step(
                nodes.embed_passages,
                inputs=[
                    "seed_retriever",
                    "passages@scan",
                    "finished_passage_vector_shards",
                    *EMBED,
                ],
                outputs="passage_vector_shards",
            ),
            step(
                nodes.embed_queries,
                inputs=["seed_retriever", "queries", "finished_query_vector_shards", *EMBED],
                outputs="query_vector_shards",
            ),
            step(
                nodes.choose_route,
                inputs=[
                    "query_vector_shards",
                    "passage_vector_shards",
                    "search_graph",
                    "params:mine.search.n_candidates",
                    "params:mine.route",
                ],
                outputs="search_route",
            ),
            step(
                nodes.measure_popularity,
                inputs=["query_vector_shards", "passage_vector_shards", "params:mine.popularity"],
                outputs="passage_popularity",
            ),
            step(
                nodes.search_candidates,
                inputs=[
                    "queries",
                    "query_vector_shards",
                    "passages@scan",
                    "passage_vector_shards",
                    "passage_popularity",
                    "search_route",
                    "search_work",
                    "params:mine.search",
                ],
                outputs="candidate_shards",
            ),
            step(
                nodes.collect_candidates,
                inputs=["candidate_shards", "search_route", "params:mine.search.n_candidates"],
                outputs=["candidates", "mine_metrics"],
            ),
        ],
    )
