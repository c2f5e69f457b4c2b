"""A held-out retrieval task out of natural pairs: what was training's raw material, kept away."""

import hashlib
from collections.abc import Sequence

import polars as pl

from gecko_kedro.base.errors import InputError, Words
from gecko_kedro.evaluation.tasks.retrieval import RetrievalData


def heldout_from_pairs(
    pairs: pl.DataFrame,
    *,
    name: str,
    kinds: Sequence[str],
    max_passages: int,
    max_queries: int,
    seed: int,
    task: str | None = None,
) -> RetrievalData:
    """Queries of ``pairs`` (PAIR_SCHEMA, held-out passages only) against all their passages.

    Each passage enters once, with its pair of the first of ``kinds`` that it has, since another
    kind's text may contain the query. Equal passage texts are one passage and equal query texts
    one query with several relevant passages: neither model could tell them apart. The caps take
    a sample by hash of seed and id, so a growing corpus keeps most of its old sample. ``task``
    defaults to the most frequent task name among the pairs.
    """
    chosen = _one_pair_a_passage(pairs, kinds)
    if chosen.is_empty():
        raise InputError(
            f"held-out task {name}", expected=f"held-out pairs of the kinds {list(kinds)}",
            got=dict(pairs.group_by("kind").len().sort("kind").iter_rows()) or Words("no pairs"),
            fix="Hold out more groups, or name a kind that the corpus has.",
        )  # fmt: skip
    first_ids = pl.col("passage_id").first().over("text")
    kept_texts = chosen.unique("text", keep="first", maintain_order=True)
    passages = _sample(kept_texts, "passage_id", limit=max_passages, seed=seed)
    reachable = chosen.with_columns(first_ids).join(passages.select("passage_id"), on="passage_id",
                                                    how="semi", maintain_order="left")  # fmt: skip
    merged = reachable.with_columns(pl.col("pair_id").first().over("query").alias("query_id"))
    queries = _sample(merged.unique("query_id", keep="first", maintain_order=True), "query_id",
                      limit=max_queries, seed=seed)  # fmt: skip
    qrels = merged.join(queries.select("query_id"), on="query_id", how="semi")
    return RetrievalData(
        name,
        corpus=passages.select(
            pl.col("passage_id").alias("id"), pl.lit(None, pl.String).alias("title"), "text"
        ).sort("id"),
        queries=queries.select(pl.col("query_id").alias("id"), pl.col("query").alias("text"),
                               "group").sort("id"),
        qrels=qrels.select("query_id", "passage_id", pl.lit(1, pl.Int64).alias("score"))
        .unique().sort("query_id", "passage_id"),
        task=task if task is not None else _most_frequent(queries["task"]),
    )  # fmt: skip


def _one_pair_a_passage(pairs: pl.DataFrame, kinds: Sequence[str]) -> pl.DataFrame:
    order = pl.col("kind").replace_strict(
        list(kinds), list(range(len(kinds))), default=None, return_dtype=pl.Int64
    )
    return (
        pairs.with_columns(order.alias("_order"))
        .filter(pl.col("_order").is_not_null())
        .sort("_order", "pair_id")
        .unique("passage_id", keep="first", maintain_order=True)
        .drop("_order")
        .sort("pair_id")
    )


def _sample(frame: pl.DataFrame, key: str, *, limit: int, seed: int) -> pl.DataFrame:
    """The ``limit`` rows whose ``key`` has the smallest hash: the same on every machine."""
    hashes = [
        hashlib.blake2b(f"{seed}\x00{value}".encode(), digest_size=8).digest()
        for value in frame[key]
    ]
    chosen = sorted(range(frame.height), key=hashes.__getitem__)[:limit]
    return frame[sorted(chosen)]


def _most_frequent(values: pl.Series) -> str:
    counted = values.value_counts().sort(["count", values.name], descending=[True, False])
    return str(counted[values.name][0])
