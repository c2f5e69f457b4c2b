"""Nodes of mine: a seed retriever finds the candidate passages of each query."""

import logging
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal

import polars as pl

from gecko_kedro import encoder, fret, retrieval, training
from gecko_kedro.base.errors import InputError, Words
from gecko_kedro.base.progress import Progress
from gecko_kedro.base.shards import NO_SHARD, Shard, count_missing, missing_pieces
from gecko_kedro.datasets.search_work import SearchWork
from gecko_kedro.encoder.settings import LoadSettings
from gecko_kedro.engine import EngineSettings, build_engine
from gecko_kedro.fret.schemas import POPULARITY
from gecko_kedro.params import Encoder
from gecko_kedro.pipelines.mine.routing import pick_route
from gecko_kedro.pipelines.mine.searching import open_search, seed_rows
from gecko_kedro.pipelines.mine.workers import Embedder
from gecko_kedro.retrieval.vector_table import VectorTable
from gecko_kedro.training.settings import EncoderTraining, SeedRetrieverTraining

logger = logging.getLogger(__name__)


def select_seed_examples(
    queries: pl.DataFrame, passages: pl.LazyFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(query, seed passage) as training examples; a query from a log has no seed and stays out."""
    if queries.is_empty():
        raise InputError(
            "mine, queries",
            expected="at least one query to find candidates for",
            got=Words("no queries"),
            fix="Look into queries_quarantine, raise synthesize.sample.n_seeds, name a query log.",
        )
    seeds = queries["passage_id"].drop_nulls().unique()
    seed_passages = passages.filter(pl.col("passage_id").is_in(seeds.implode())).collect()
    made = training.from_seed_queries(queries, seed_passages)
    logger.info("select_seed_examples: %d examples", made.rows.height)
    return made.rows, made.quarantine


def train_seed_retriever(
    seed_examples: pl.DataFrame,
    checkpoints: Path,
    load: LoadSettings,
    encoder_training: EncoderTraining,
    kind: Literal["trained", "given"],
    settings: SeedRetrieverTraining,
) -> tuple[Encoder, pl.DataFrame]:
    """Train the retriever that mines: in-batch negatives, (query, seed passage) (footnote 1).

    Without synthetic queries there are no seeds: the initial embedder is used as it is.
    """
    base = load.load(for_training=True)
    if kind == "given":
        logger.info("train_seed_retriever: %s is used as it is", load.reference)
        return base, training.HISTORY_SCHEMA.to_frame()
    how = encoder_training.options(base, settings=settings, checkpoints=checkpoints)
    result = training.train_or_keep(
        base, seed_examples, loss="in_batch", name="seed_retriever", **how
    )
    return result.model, result.history


def embed_passages(
    seed_retriever: str,
    passages: pl.LazyFrame,
    finished: frozenset[int],
    load: LoadSettings,
    engine_settings: EngineSettings,
    settings: retrieval.EmbedSettings,
) -> Iterator[Shard]:
    """Vectors of all passages, shard by shard; the passages are read as they are needed."""
    rows = passages.select("passage_id", "title", "text")
    make = partial(Embedder, seed_retriever, load, settings.max_seq_length, encoder.render_passage)
    yield from _embed("embed_passages", rows, make, finished, engine_settings, settings)


def embed_queries(
    seed_retriever: str,
    queries: pl.DataFrame,
    finished: frozenset[int],
    load: LoadSettings,
    engine_settings: EngineSettings,
    settings: retrieval.EmbedSettings,
) -> Iterator[Shard]:
    """Vectors of task and query together, shard by shard (introduction and figure 2)."""
    rows = queries.select("query_id", "task_name", "query")
    make = partial(Embedder, seed_retriever, load, settings.max_seq_length, encoder.render_query)
    yield from _embed("embed_queries", rows, make, finished, engine_settings, settings)


def _embed(
    name: str,
    rows: pl.DataFrame | pl.LazyFrame,
    make: Callable[[], Embedder],
    finished: frozenset[int],
    engine_settings: EngineSettings,
    settings: retrieval.EmbedSettings,
) -> Iterator[Shard]:
    size = settings.shard_size
    missing = count_missing(rows, size=size, finished=finished)
    if missing == 0 and finished:
        yield NO_SHARD
        return
    engine = build_engine(engine_settings)
    with Progress(name, total=missing, unit="text") as progress:
        for shard in engine.map(make, rows, size=size, finished=finished, role="encoder"):
            yield shard
            progress.advance(shard.table.height)


def choose_route(
    query_vector_shards: VectorTable,
    passage_vector_shards: VectorTable,
    search_graph: Path,
    n_candidates: int,
    settings: retrieval.RouteSettings,
) -> dict[str, Any]:
    """Exact search up to ``exact_max_pairs``; beyond it a graph, whose recall is measured first."""
    route = pick_route(
        query_vector_shards, passage_vector_shards, search_graph, n_candidates, settings
    )
    logger.info(
        "choose_route: %s search, %d queries x %d passages, recall@%d %.4f",
        route["route"], len(query_vector_shards), len(passage_vector_shards),
        n_candidates, route["recall"],
    )  # fmt: skip
    return route


def measure_popularity(
    query_vector_shards: VectorTable,
    passage_vector_shards: VectorTable,
    settings: retrieval.PopularitySettings,
) -> pl.DataFrame:
    """How near each passage is to the queries in general; no rows where it is not asked for."""
    if settings.temperature is None:
        return pl.DataFrame(schema=POPULARITY)
    found = retrieval.popularity(
        partial(query_vector_shards.blocks, most=settings.max_queries),
        passage_vector_shards.blocks,
        temperature=settings.temperature,
    )
    logger.info(
        "measure_popularity: %d passages by at most %d of %d queries, from %.3f to %.3f",
        len(found), settings.max_queries, len(query_vector_shards), found.min(), found.max(),
    )  # fmt: skip
    return pl.DataFrame({"passage_id": passage_vector_shards.ids, "popularity": found})


def search_candidates(
    queries: pl.DataFrame,
    query_vector_shards: VectorTable,
    passages: pl.LazyFrame,
    passage_vector_shards: VectorTable,
    passage_popularity: pl.DataFrame,
    search_route: dict[str, Any],
    work: SearchWork,
    settings: retrieval.SearchSettings,
) -> Iterator[Shard]:
    """The top N passages of each query, the seed forced in (section 4.3), shard by shard."""
    size, finished = settings.shard_size, work.finished
    missing = count_missing(queries, size=size, finished=finished)
    if missing == 0 and finished:
        yield NO_SHARD
        return
    search = open_search(
        passages, passage_vector_shards, passage_popularity,
        route=search_route, work=work, settings=settings,
    )  # fmt: skip
    seeds = seed_rows(queries, passage_vector_shards.ids)
    with Progress("search_candidates", total=missing, unit="query") as progress:
        for piece in missing_pieces(queries, size=size, finished=finished):
            start = piece.index * size
            own_seeds = seeds[start : start + piece.rows.height]
            candidates = search.candidates(piece.rows, query_vector_shards, start, own_seeds)
            yield Shard(piece.index, piece.total, candidates)
            progress.advance(piece.rows.height)


def collect_candidates(
    candidate_shards: pl.LazyFrame, search_route: dict[str, Any], n_candidates: int
) -> tuple[pl.LazyFrame, dict[str, float]]:
    """The candidates of all queries as one table, and how well the seeds were found."""
    metrics = fret.candidate_metrics(candidate_shards, n_candidates=n_candidates)
    logger.info(
        "collect_candidates: %d queries x at most %d candidates (%s)",
        metrics["queries"], n_candidates, retrieval.simd_level(),
    )  # fmt: skip
    measured = {"recall": search_route["recall"], "pairs": search_route["pairs"]}
    return candidate_shards, metrics | measured
