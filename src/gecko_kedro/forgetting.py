"""Drops stored replies that turned out useless, and the shards that were made of them."""

from collections.abc import Collection
from typing import Any, Literal

import polars as pl

from gecko_kedro import fret
from gecko_kedro.datasets.sharded import ShardedParquetDataset, remove_shard
from gecko_kedro.teacher.build import STORE_NAME
from gecko_kedro.teacher.store import ResponseStore

Stage = Literal["synthesize", "query_likelihood", "relevance"]
TEACHER = "params:work.synthesize_teacher"  # all stages have one store
_JUDGED = ("relabel.refused_query_shards", "relabel.judgement_shards")
SHARDS = {
    "synthesize": ("synthesize.rejected_reply_shards", "synthesize.query_shards"),
    "query_likelihood": _JUDGED,
    "relevance": _JUDGED,
}


def forget_replies(catalog: Any, stage: Stage, reasons: Collection[str] = ()) -> tuple[int, int]:
    """How many replies and shards of ``stage`` were dropped; the next run asks for them anew.

    With ``reasons`` (of synthesis: unparsable, empty, copy, ...) only replies that are rejected for
    one of them go, without them all of the stage. Replies of all teachers in the store of
    ``catalog`` are looked at. What was spent on them stays in the account.
    """
    shards = [catalog.get(name) for name in SHARDS[stage]]
    with ResponseStore(catalog.load(TEACHER).store / STORE_NAME) as store:
        texts = _rejected_texts(shards[0], reasons)
        gone = store.forget(store.search(lambda value: _is_wanted(value, stage, reasons, texts)))
    return gone, sum(_drop(shards, index, reasons) for index in sorted(shards[0].shards()))


def _is_wanted(
    value: object, stage: Stage, reasons: Collection[str], texts: Collection[str]
) -> bool:
    content = value[0] if isinstance(value, list) else None
    if stage == "relevance":
        return isinstance(content, list)
    if stage == "query_likelihood":
        return isinstance(content, float | int)
    if not isinstance(content, str):
        return False
    return not reasons or content in texts or fret.reject_reason(content) in reasons


def _rejected_texts(rejected: ShardedParquetDataset, reasons: Collection[str]) -> set[str]:
    """The replies that were rejected with regard to their passage, such as copies."""
    found: set[str] = set()
    for shard in rejected.shards() if reasons else []:
        table = pl.read_parquet(rejected.file(*shard), glob=False)
        rows = table.filter(pl.col("reason").is_in(list(reasons)))
        found |= fret.rejected_texts(rows)
    return found


def _drop(
    shards: list[ShardedParquetDataset], shard: tuple[int, int], reasons: Collection[str]
) -> bool:
    """Remove a shard of each table, where it has one of ``reasons``."""
    if reasons:
        table = pl.read_parquet(shards[0].file(*shard), glob=False)
        if not table["reason"].is_in(list(reasons)).any():
            return False
    for one in shards:
        file = one.file(*shard)
        if file.exists():
            remove_shard(file)
    return True
