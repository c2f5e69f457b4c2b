"""Long work cut into shards: what one finished shard is, and which ones are still missing."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True)
class Shard:
    """One finished piece of a table: piece ``index`` (from 0) of ``total``."""

    index: int
    total: int
    table: pl.DataFrame


# Kedro wants at least one chunk from a generator node, also when every shard was there already.
NO_SHARD = Shard(-1, 0, pl.DataFrame())


@dataclass(frozen=True)
class Piece:
    """One piece of the input that is still to be worked on."""

    index: int
    total: int
    rows: pl.DataFrame


def missing_pieces(table: pl.DataFrame, *, size: int, finished: Collection[int]) -> Iterator[Piece]:
    """Cut ``table`` into consecutive pieces of ``size`` rows and give those not in ``finished``.

    An empty table is one empty piece, so that its shard exists and carries the columns.
    """
    total = max(1, -(-table.height // size))
    for index in range(total):
        if index not in finished:
            yield Piece(index, total, table.slice(index * size, size))


def count_missing(table: pl.DataFrame, *, size: int, finished: Collection[int]) -> int:
    """The number of rows in the pieces that ``missing_pieces`` would give."""
    return sum(piece.rows.height for piece in missing_pieces(table, size=size, finished=finished))
