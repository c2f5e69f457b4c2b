"""What fine-tuning reads from outside: declared sources and an optional table."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from kedro.io.core import DatasetError

from gecko_kedro.base.errors import InputError
from gecko_kedro.datasets import OptionalTableDataset, TrainingSourcesDataset

SCHEMA = "gecko_kedro.corpus.schemas.QUERY_LOG_SCHEMA"


def source(path: Path, **changes: Any) -> dict[str, Any]:
    return {
        "name": "faq", "data": str(path), "converter": "pairs", "task": "question answering",
        "columns": {"query": "q", "positive": "a"},
    } | changes  # fmt: skip


def test_sources_are_loaded_by_name_and_tell_whether_they_changed(tmp_path: Path) -> None:
    path = tmp_path / "faq.csv"
    path.write_text("q,a\nhow,so\nwhy,\n")
    dataset = TrainingSourcesDataset(sources=[source(path)], seed=1)
    loaded = dataset.load()
    assert loaded["faq"].counts == {"examples": 1, "quarantined": 1, "empty_positive": 1}
    assert dataset.exists()
    before = dataset.fingerprint()
    assert TrainingSourcesDataset(sources=[source(path)], seed=1).fingerprint() == before
    other = TrainingSourcesDataset(sources=[source(path, task="search result")], seed=1)
    assert other.fingerprint() != before
    path.write_text("q,a\nhow,so\n")
    assert dataset.fingerprint() != before
    with pytest.raises(DatasetError):
        dataset.save({})


def test_a_source_that_is_not_there_does_not_exist(tmp_path: Path) -> None:
    assert not TrainingSourcesDataset(sources=[source(tmp_path / "no.csv")], seed=1).exists()
    assert TrainingSourcesDataset(sources=[source(Path("owner/name"))], seed=1).exists()
    assert TrainingSourcesDataset(sources=[], seed=1).load() == {}


def test_an_optional_table_is_none_or_checked(tmp_path: Path) -> None:
    assert OptionalTableDataset(source=None, schema=SCHEMA).load() is None
    assert OptionalTableDataset(source=None, schema=SCHEMA).exists()
    path = tmp_path / "log.parquet"
    dataset = OptionalTableDataset(source=str(path), schema=SCHEMA)
    assert not dataset.exists()
    rows = pl.DataFrame({"query_id": ["a"], "query": ["why"]})
    rows.write_parquet(path)
    loaded = dataset.load()
    assert loaded is not None
    assert loaded.equals(rows)
    rows.drop("query").write_parquet(path)
    with pytest.raises((InputError, DatasetError), match="query"):
        dataset.load()
    with pytest.raises(DatasetError):
        dataset.save(rows)
