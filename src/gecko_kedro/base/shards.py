"""Long work cut into shards: what one finished shard is, and which ones are still missing."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import groupby

import polars as pl

ROWS_AT_ONCE = 16_384  # a row group of TableDataset: some 20 MB of passages


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


def missing_pieces(
    table: pl.DataFrame | pl.LazyFrame, *, size: int, finished: Collection[int]
) -> Iterator[Piece]:
    """Cut ``table`` into consecutive pieces of ``size`` rows and give those not in ``finished``.

    A lazy table is read as it is needed, ``ROWS_AT_ONCE`` rows (or one piece) at a time. An empty
    table is one empty piece, so that its shard exists and carries the columns.
    """
    total = max(1, -(-count_rows(table) // size))
    missing = (index for index in range(total) if index not in finished)
    at_once = max(1, ROWS_AT_ONCE // size)
    for block, indices in groupby(missing, key=lambda index: index // at_once):
        rows = table.lazy().slice(block * at_once * size, at_once * size).collect()
        for index in indices:
            yield Piece(index, total, rows.slice((index - block * at_once) * size, size))


def count_missing(
    table: pl.DataFrame | pl.LazyFrame, *, size: int, finished: Collection[int]
) -> int:
    """The number of rows in the pieces that ``missing_pieces`` would give."""
    rows = count_rows(table)
    starts = range(0, rows, size)
    return sum(min(size, rows - start) for start in starts if start // size not in finished)


def count_rows(table: pl.DataFrame | pl.LazyFrame) -> int:
    """The number of rows; of a lazy Parquet file its footer tells it."""
    rows: int = table.lazy().select(pl.len()).collect().item()
    return rows
