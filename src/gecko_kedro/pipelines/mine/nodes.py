"""Nodes of mine: a seed retriever finds the candidate passages of each query."""

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from gecko_kedro import encoder, fret, retrieval, training
from gecko_kedro.params import Encoder, EncoderParams, MineParams
from gecko_kedro.progress import Progress
from gecko_kedro.shards import NO_SHARD, Shard, count_missing, missing_pieces

logger = logging.getLogger(__name__)


def select_seed_examples(
    queries: pl.DataFrame, passages: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(query, seed passage) as training examples; a query from a log has no seed and stays out."""
    made = training.from_seed_queries(queries, passages)
    logger.info("select_seed_examples: %d examples", made.examples.height)
    return made.examples, made.quarantine


def train_seed_retriever(
    seed_examples: pl.DataFrame,
    checkpoints: Path,
    encoder_params: EncoderParams,
    params: MineParams,
) -> tuple[Encoder, pl.DataFrame]:
    """Train the retriever that mines: in-batch negatives, (query, seed passage) (footnote 1)."""
    base = encoder_params.load(for_training=True)
    if params.seed_retriever == "given":
        logger.info("train_seed_retriever: %s is used as it is", encoder_params.reference)
        return base, training.HISTORY_SCHEMA.to_frame()
    result = training.train_encoder(
        base,
        seed_examples,
        settings=params.train,
        loss="in_batch",
        name="seed_retriever",
        checkpoints=checkpoints,
        lora=encoder_params.lora,
    )
    return result.model, result.history


def embed_passages(
    seed_retriever: str,
    passages: pl.DataFrame,
    finished: frozenset[int],
    encoder_params: EncoderParams,
    params: MineParams,
) -> Iterator[Shard]:
    """Vectors of all passages, shard by shard."""
    texts = [
        encoder.render_passage(title, text)
        for title, text in passages.select("title", "text").iter_rows()
    ]
    rows = passages.select("passage_id", pl.Series("input", texts))
    yield from _embed("embed_passages", rows, seed_retriever, finished, encoder_params, params)


def embed_queries(
    seed_retriever: str,
    queries: pl.DataFrame,
    finished: frozenset[int],
    encoder_params: EncoderParams,
    params: MineParams,
) -> Iterator[Shard]:
    """Vectors of task and query together, shard by shard (introduction and figure 2)."""
    texts = [
        encoder.render_query(task, query)
        for task, query in queries.select("task_name", "query").iter_rows()
    ]
    rows = queries.select("query_id", pl.Series("input", texts))
    yield from _embed("embed_queries", rows, seed_retriever, finished, encoder_params, params)


def _embed(
    name: str,
    rows: pl.DataFrame,
    reference: str,
    finished: frozenset[int],
    encoder_params: EncoderParams,
    params: MineParams,
) -> Iterator[Shard]:
    missing = count_missing(rows, size=params.embed_shard_size, finished=finished)
    if missing == 0 and finished:
        yield NO_SHARD
        return
    model = encoder_params.load(reference, max_seq_length=params.max_seq_length)
    with Progress(name, total=missing, unit="text") as progress:
        for piece in missing_pieces(rows, size=params.embed_shard_size, finished=finished):
            vectors = encoder.encode_texts(
                model, piece.rows["input"].to_list(), batch_size=encoder_params.batch_size
            )
            table = piece.rows.drop("input").with_columns(pl.Series("vector", vectors))
            yield Shard(piece.index, piece.total, table)
            progress.advance(piece.rows.height)


def search_candidates(
    queries: pl.DataFrame,
    passages: pl.DataFrame,
    query_vector_shards: pl.DataFrame,
    passage_vector_shards: pl.DataFrame,
    params: MineParams,
) -> tuple[pl.DataFrame, dict[str, float]]:
    """The top N passages of each query by exact search, the seed forced in (section 4.3)."""
    passage_ids = passage_vector_shards["passage_id"]
    query_vectors, passage_vectors = _matrix(query_vector_shards), _matrix(passage_vector_shards)
    index = retrieval.Index(passage_vectors)
    found = index.search(query_vectors, params.n_candidates, threads=params.threads)
    if params.lexical_candidates:
        in_order = passage_ids.to_frame().join(
            passages, on="passage_id", how="left", maintain_order="left"
        )
        joined = _join_lexical(found, queries, in_order, params)
        scores = index.score_pairs(query_vectors, joined.ids)
        found = retrieval.SearchResult(scores, joined.ids)
    candidates = fret.candidates_with_seeds(
        queries,
        passage_ids=passage_ids,
        ids=found.ids,
        scores=found.scores,
        seed_scores=_seed_scores(queries, passage_ids, query_vectors, index),
    )
    metrics = fret.candidate_metrics(candidates, n_candidates=params.n_candidates)
    logger.info(
        "search_candidates: %d queries x %d candidates out of %d passages (%s)",
        queries.height, min(params.n_candidates, len(passage_ids)), len(passage_ids),
        retrieval.simd_level(),
    )  # fmt: skip
    return candidates, metrics


def _join_lexical(
    found: retrieval.SearchResult, queries: pl.DataFrame, passages: pl.DataFrame, params: MineParams
) -> retrieval.SearchResult:
    """The best N of what the embedder and BM25 found, by reciprocal rank fusion."""
    texts = [f"{title or ''} {text}" for title, text in passages.select("title", "text").rows()]
    words = retrieval.LexicalIndex(texts).search(queries["query"].to_list(), params.n_candidates)
    logger.info("search_candidates: BM25 finds candidates too")
    return retrieval.fuse_results(
        [found, words], params.n_candidates, constant=params.route_constant
    )


def _matrix(shards: pl.DataFrame) -> np.ndarray:
    """(n, d) float32, as the kernel wants it."""
    return np.ascontiguousarray(shards["vector"].to_numpy(), dtype=np.float32)


def _seed_scores(
    queries: pl.DataFrame, passage_ids: pl.Series, query_vectors: np.ndarray, index: retrieval.Index
) -> np.ndarray:
    """(q,) score of each query with its seed passage, as in a search; NaN without a seed."""
    rows = dict(zip(passage_ids, range(len(passage_ids)), strict=True))
    seeds = np.array([rows.get(seed, -1) for seed in queries["passage_id"]], dtype=np.int64)
    scores = index.score_pairs(query_vectors, seeds[:, None])[:, 0]
    return np.where(seeds >= 0, scores, np.nan)
