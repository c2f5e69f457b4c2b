from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from gecko_kedro.base.errors import InputError
from gecko_kedro.corpus.readers import read_query_log
from gecko_kedro.corpus.schemas import QUARANTINE_SCHEMA, QUERY_LOG_SCHEMA

COLUMNS = {"query_id": None, "query": "query"}


def test_a_text_file_has_one_query_on_each_line(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_bytes("\ufeffwhat is a frog\r\n\n שאלה \nWhat IS  a frog\n".encode() + b"bad \xff\n")
    log = read_query_log(str(path), columns={})
    assert log.rows.schema == QUERY_LOG_SCHEMA
    assert log.rows["query"].to_list() == ["what is a frog", "שאלה"]
    assert log.quarantine.schema == QUARANTINE_SCHEMA
    assert sorted(log.quarantine["reason"]) == ["duplicate_query", "not_utf8"]
    assert log.counts == {"queries": 2, "quarantined": 2, "duplicate_query": 1, "not_utf8": 1}


def test_ids_are_taken_where_there_is_a_column(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("n,q\n1,frogs\n2,\n1,toads\n")
    log = read_query_log(str(path), columns={"query_id": "n", "query": "q"})
    assert log.rows.rows() == [("1", "frogs")]
    assert log.quarantine.select("row_id", "reason").rows() == [
        ("2", "empty_text"),
        ("1", "duplicate_id"),
    ]


def test_no_source_is_an_empty_log() -> None:
    log = read_query_log(None, columns=COLUMNS)
    assert log.rows.schema == QUERY_LOG_SCHEMA
    assert log.rows.is_empty()
    assert log.counts == {"queries": 0, "quarantined": 0}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("log.txt", "", "no rows at all"),
        ("log.csv", "question\nwhy\n", "near to it: question"),
        ("log.xlsx", "x", "expected a folder or a file named"),
    ],
)
def test_a_log_without_queries_is_refused(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        read_query_log(str(tmp_path / name), columns=COLUMNS)


def test_a_missing_log_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="FileNotFoundError"):
        read_query_log(str(tmp_path / "no.txt"), columns=COLUMNS)


@pytest.mark.shared_data
def test_a_real_log_loses_nothing_but_repeats(shared_data: Callable[[str], Path]) -> None:
    path = shared_data("train_mlquestions_unaligned") / "queries.parquet"
    log = read_query_log(str(path), columns=COLUMNS)
    assert log.rows.height + log.quarantine.height == pl.read_parquet(path).height
    assert set(log.quarantine["reason"]) <= {"duplicate_query", "duplicate_id"}
