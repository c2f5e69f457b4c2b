"""Queries with human judgements, for a labeller to rank: samples and halves of them."""

import polars as pl

from gecko_kedro.base.settings import Count, Limit, Seed, Settings
from gecko_kedro.corpus.splits import cap, stable_hash
from gecko_kedro.evaluation.tasks.retrieval import RetrievalData


class JudgedSettings(Settings):
    """How many judged queries, and how many passages to find the relevant ones among."""

    max_queries: Limit = 500
    max_passages: Count = 3000
    seed: Seed = 7


def sample_judged(
    data: RetrievalData, settings: JudgedSettings = JudgedSettings()
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Queries (query_id, query, group), passages (passage_id, title, text) and their judgements.

    Queries are drawn by the hash of their ids. Every judged passage of theirs is there; others by
    the same draw fill up to ``max_passages``. The judgements carry the query's group.
    """
    seed = settings.seed
    named = data.queries.rename({"id": "passage_id"})
    queries = cap(named, limit=settings.max_queries, seed=seed).select(
        query_id="passage_id", query="text", group="group"
    )
    qrels = data.qrels.join(
        queries.select("query_id", "group"), on="query_id", maintain_order="left"
    )
    passages = data.corpus.rename({"id": "passage_id"})
    judged = passages.join(qrels, on="passage_id", how="semi", maintain_order="left")
    others = passages.join(qrels, on="passage_id", how="anti", maintain_order="left")
    room = max(0, settings.max_passages - judged.height)
    return queries, pl.concat([judged, cap(others, limit=room, seed=seed)]), qrels


def half_of(qrels: pl.DataFrame, fold: int | None, *, seed: int) -> pl.DataFrame:
    """The judgements of one half of the queries, by the hash of their ids; all for None."""
    if fold is None:
        return qrels
    halves = [stable_hash(query_id, seed=seed) % 2 for query_id in qrels["query_id"]]
    return qrels.filter(pl.Series(halves) == fold)
