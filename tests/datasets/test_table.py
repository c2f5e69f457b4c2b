"""TableDataset: whole or absent, and checked when it comes from outside."""

import os
from pathlib import Path

import polars as pl
import pytest
from kedro.io.core import DatasetError

from gecko_kedro.base.errors import InputError
from gecko_kedro.datasets import TableDataset

SCHEMA = "gecko_kedro.corpus.schemas.QUERY_LOG_SCHEMA"
ROWS = pl.DataFrame({"query_id": ["a", "b"], "query": ["emoji 🦎", "שלום"]})


def dataset(folder: Path) -> TableDataset:
    return TableDataset(filepath=str(folder / "log.parquet"), schema=SCHEMA)


def reason(error: pytest.ExceptionInfo[DatasetError]) -> str:
    cause = error.value.__cause__
    assert isinstance(cause, InputError)
    return str(cause)


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    dataset(tmp_path).save(ROWS)
    assert dataset(tmp_path).load().equals(ROWS)


def test_further_columns_are_kept(tmp_path: Path) -> None:
    rows = ROWS.with_columns(extra=pl.lit(1))
    dataset(tmp_path).save(rows)
    assert dataset(tmp_path).load().equals(rows)


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    ROWS.rename({"query": "text"}).write_parquet(tmp_path / "log.parquet")
    with pytest.raises(DatasetError) as error:
        dataset(tmp_path).load()
    assert "a column 'query'" in reason(error)


def test_a_lossless_other_type_is_converted(tmp_path: Path) -> None:
    pl.DataFrame({"query_id": [1, 2], "query": ["x", "y"]}).write_parquet(tmp_path / "log.parquet")
    assert dataset(tmp_path).load()["query_id"].to_list() == ["1", "2"]


def test_a_truncated_file_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    dataset(tmp_path).save(ROWS)
    file = tmp_path / "log.parquet"
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(DatasetError) as error:
        dataset(tmp_path).load()
    assert "Delete the file and run again" in reason(error)


def test_a_failed_save_leaves_the_old_file_and_no_rest(tmp_path: Path) -> None:
    dataset(tmp_path).save(ROWS)
    with pytest.raises(DatasetError):
        dataset(tmp_path).save(ROWS.drop("query"))
    assert dataset(tmp_path).load().equals(ROWS)
    assert os.listdir(tmp_path) == ["log.parquet"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "in_the_way").write_text("a file where a folder is wanted", "utf-8")
    with pytest.raises(DatasetError) as error:
        TableDataset(filepath=str(tmp_path / "in_the_way" / "log.parquet")).save(ROWS)
    assert "a folder with free space that can be written to" in reason(error)


def test_the_preview_cuts_long_texts(tmp_path: Path) -> None:
    dataset(tmp_path).save(pl.DataFrame({"query_id": ["a"], "query": ["x" * 5000]}))
    preview = dataset(tmp_path).preview()
    assert len(preview["data"][0][1]) < 200
    assert preview["columns"] == ["query_id", "query"]


def scan(folder: Path) -> TableDataset:
    return TableDataset(filepath=str(folder / "log.parquet"), schema=SCHEMA, scan=True)


def test_a_scan_gives_the_same_rows_from_the_disk(tmp_path: Path) -> None:
    dataset(tmp_path).save(ROWS)
    lazy = scan(tmp_path).load()
    assert isinstance(lazy, pl.LazyFrame)
    assert lazy.collect().equals(ROWS)
    assert lazy.filter(query_id="b").collect().height == 1


def test_a_scan_is_checked_like_the_table(tmp_path: Path) -> None:
    file = tmp_path / "log.parquet"
    pl.DataFrame({"query_id": [1, 2], "query": ["x", "y"]}).write_parquet(file)
    assert scan(tmp_path).load().collect()["query_id"].to_list() == ["1", "2"]
    ROWS.rename({"query": "text"}).write_parquet(file)
    with pytest.raises(DatasetError) as error:
        scan(tmp_path).load()
    assert "a column 'query'" in reason(error)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not parquet"])
def test_a_scan_of_a_file_that_is_not_whole_is_an_error_that_says_what_to_do(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "log.parquet").write_bytes(content)
    with pytest.raises(DatasetError) as error:
        scan(tmp_path).load()
    assert "Delete the file and run again" in reason(error)


def test_a_lazy_table_is_saved_like_the_table_itself(tmp_path: Path) -> None:
    rows = pl.DataFrame({"query_id": [str(n) for n in range(40_000)], "query": ["x"] * 40_000})
    dataset(tmp_path).save(rows.lazy())
    assert dataset(tmp_path).load().equals(rows)
    with pytest.raises(DatasetError) as error:
        dataset(tmp_path).save(rows.lazy().drop("query"))
    assert "a column 'query'" in reason(error)
    assert dataset(tmp_path).load().equals(rows)
    assert [file.name for file in tmp_path.iterdir()] == ["log.parquet"]
