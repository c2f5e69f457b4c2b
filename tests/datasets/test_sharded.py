"""ShardedParquetDataset: exists only when whole, and only for what it was made from."""

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kedro.io.core import DatasetError

from gecko_kedro.base.shards import NO_SHARD, Shard, count_missing, missing_pieces
from gecko_kedro.datasets import FinishedShardsDataset, ShardedParquetDataset
from tests.support.damaging import flip

TABLE = pl.DataFrame({"number": range(10)})


def shards_of(folder: Path, fingerprint: str = "f1") -> ShardedParquetDataset:
    dataset = ShardedParquetDataset(path=str(folder))
    dataset.expect_fingerprint(fingerprint)
    return dataset


def save_all(dataset: ShardedParquetDataset, *, size: int, but: frozenset[int]) -> None:
    for piece in missing_pieces(TABLE, size=size, finished=but):
        dataset.save(Shard(piece.index, piece.total, piece.rows))


def test_it_exists_only_with_its_last_shard(tmp_path: Path) -> None:
    dataset = shards_of(tmp_path)
    save_all(dataset, size=4, but=frozenset({1}))
    assert not dataset.exists()
    assert dataset.finished() == {0, 2}
    with pytest.raises(DatasetError, match="2 of them"):
        dataset.load()
    save_all(dataset, size=4, but=dataset.finished())
    assert dataset.exists()
    assert dataset.load().equals(TABLE)


def test_shards_of_other_parameters_do_not_count_and_go_at_the_first_save(tmp_path: Path) -> None:
    save_all(shards_of(tmp_path, "old"), size=2, but=frozenset())
    dataset = shards_of(tmp_path, "new")
    assert not dataset.exists()
    assert dataset.finished() == frozenset()
    save_all(dataset, size=5, but=frozenset({1}))
    assert dataset.finished() == {0}


def test_the_finished_shards_are_read_through_an_entry_of_their_own(tmp_path: Path) -> None:
    save_all(shards_of(tmp_path), size=4, but=frozenset({2}))
    entry = FinishedShardsDataset(path=str(tmp_path), of="numbers")
    entry.expect_fingerprint("f1")
    assert entry.load() == {0, 1}
    entry.expect_fingerprint("f2")
    assert entry.load() == frozenset()


def test_a_half_written_shard_does_not_count(tmp_path: Path) -> None:
    dataset = shards_of(tmp_path)
    save_all(dataset, size=5, but=frozenset({1}))
    (tmp_path / ".shard-00001-of-00002.parquet.77.tmp").write_bytes(b"PAR1 and then a power cut")
    assert dataset.finished() == {0}


def test_saving_no_shard_changes_nothing(tmp_path: Path) -> None:
    save_all(shards_of(tmp_path), size=4, but=frozenset())
    shards_of(tmp_path).save(NO_SHARD)
    assert shards_of(tmp_path).load().equals(TABLE)


def test_an_empty_table_is_one_empty_shard(tmp_path: Path) -> None:
    dataset = shards_of(tmp_path)
    for piece in missing_pieces(TABLE.clear(), size=3, finished=frozenset()):
        dataset.save(Shard(piece.index, piece.total, piece.rows))
    assert dataset.exists()
    assert dataset.load().equals(TABLE.clear())


def test_a_scan_of_the_shards_is_the_table_and_checks_them(tmp_path: Path) -> None:
    save_all(shards_of(tmp_path), size=4, but=frozenset())
    scan = ShardedParquetDataset(path=str(tmp_path), scan=True)
    scan.expect_fingerprint("f1")
    lazy = scan.load()
    assert isinstance(lazy, pl.LazyFrame)
    assert lazy.collect().equals(TABLE)
    flip(tmp_path / "shard-00002-of-00003.parquet", 9)
    with pytest.raises(DatasetError, match="shard-00002-of-00003"):
        scan.load()


def test_there_may_be_more_shards_than_five_digits_count(tmp_path: Path) -> None:
    dataset = shards_of(tmp_path)
    dataset.save(Shard(123_456, 200_000, TABLE))
    assert dataset.finished() == {123_456}


@given(rows=st.integers(0, 40), size=st.integers(1, 12), finished=st.frozensets(st.integers(0, 9)))
def test_finished_and_missing_pieces_are_the_whole_table(
    rows: int, size: int, finished: frozenset[int]
) -> None:
    table = pl.DataFrame({"number": range(rows)})
    whole = list(missing_pieces(table, size=size, finished=frozenset()))
    missing = list(missing_pieces(table, size=size, finished=finished))
    assert pl.concat([piece.rows for piece in whole]).equals(table)
    assert {p.index for p in missing} == {p.index for p in whole} - finished
    assert count_missing(table, size=size, finished=finished) == sum(p.rows.height for p in missing)


@given(
    rows=st.integers(0, 40), size=st.integers(1, 12), finished=st.frozensets(st.integers(0, 9)),
    at_once=st.integers(1, 30),
)  # fmt: skip
def test_pieces_of_a_lazy_table_are_those_of_the_table(
    rows: int, size: int, finished: frozenset[int], at_once: int
) -> None:
    table = pl.DataFrame({"number": range(rows)})
    expected = list(missing_pieces(table, size=size, finished=finished))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gecko_kedro.base.shards.ROWS_AT_ONCE", at_once)
        pieces = list(missing_pieces(table.lazy(), size=size, finished=finished))
    assert [(p.index, p.total) for p in pieces] == [(p.index, p.total) for p in expected]
    assert all(a.rows.equals(b.rows) for a, b in zip(pieces, expected, strict=True))
    assert count_missing(table.lazy(), size=size, finished=finished) == sum(
        piece.rows.height for piece in pieces
    )
