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
) -> RetrievalData:
    """Queries of ``pairs`` (PAIR_SCHEMA, held-out passages only) against all their passages.

    Each passage enters once, with its pair of the first of ``kinds`` that it has, since another
    kind's text may contain the query. Equal passage texts are one passage and equal query texts
    one query with several relevant passages: neither model could tell them apart. The caps take
    a sample by hash of seed and id, so a growing corpus keeps most of its old sample. The task name
    in the prompt is the most frequent one among the pairs.
    """
    order = {kind: place for place, kind in enumerate(kinds)}
    chosen = (
        pairs.filter(pl.col("kind").is_in(kinds))
        .sort(pl.col("kind").replace_strict(order, return_dtype=pl.Int64), "pair_id")
        .unique("passage_id", keep="first", maintain_order=True)
        .sort("pair_id")
    )
    if chosen.is_empty():
        raise InputError(
            f"held-out task {name}", expected=f"held-out pairs of the kinds {list(kinds)}",
            got=dict(pairs.group_by("kind").len().sort("kind").iter_rows()) or Words("no pairs"),
            fix="Hold out more groups, or name a kind that the corpus has.",
        )  # fmt: skip
    passages = _sample(chosen, "text", "passage_id", limit=max_passages, seed=seed)
    merged = (
        chosen.with_columns(pl.col("passage_id").first().over("text"))
        .join(passages, on="passage_id", how="semi", maintain_order="left")
        .with_columns(query_id=pl.col("pair_id").first().over("query"))
    )
    queries = _sample(merged, "query_id", "query_id", limit=max_queries, seed=seed)
    counted = queries["task"].value_counts().sort(["count", "task"], descending=[True, False])
    return RetrievalData(
        name,
        passages.select(id="passage_id", title=pl.lit(None, pl.String), text="text").sort("id"),
        queries.select(id="query_id", text="query", group="group").sort("id"),
        merged.join(queries, on="query_id", how="semi")
        .select("query_id", "passage_id", score=pl.lit(1, pl.Int64))
        .unique().sort("query_id", "passage_id"),
        task=counted["task"][0],
    )  # fmt: skip


def _sample(frame: pl.DataFrame, distinct: str, key: str, *, limit: int, seed: int) -> pl.DataFrame:
    """Of the first rows of each ``distinct`` those ``limit`` whose ``key`` has the smallest hash.

    The same on every machine.
    """
    frame = frame.unique(distinct, keep="first", maintain_order=True)
    hashes = [
        hashlib.blake2b(f"{seed}\x00{value}".encode(), digest_size=8).digest()
        for value in frame[key]
    ]
    return frame[sorted(sorted(range(frame.height), key=hashes.__getitem__)[:limit])]
