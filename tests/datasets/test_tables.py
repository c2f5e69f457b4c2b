"""Tables that are kept together: all of one run, or none."""

from pathlib import Path

import polars as pl
import pytest
from kedro.io.core import DatasetError

from gecko_kedro.datasets import TablesDataset

SCHEMA = "gecko_kedro.evaluation.scoring.score_table.FAILURES_SCHEMA"
ROW = {"model": "m", "dimension": 8, "task": "t", "status": "failed", "error": "no"}


def dataset(folder: Path) -> TablesDataset:
    return TablesDataset(path=str(folder / "both"), schemas={"first": SCHEMA, "second": SCHEMA})


def tables(rows: int) -> dict[str, pl.DataFrame]:
    return {name: pl.DataFrame([ROW] * rows) for name in ("first", "second")}


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    assert not dataset(tmp_path).exists()
    dataset(tmp_path).save(tables(2))
    assert dataset(tmp_path).exists()
    loaded = dataset(tmp_path).load()
    assert {name: table.to_dicts() for name, table in loaded.items()} == {
        "first": [ROW] * 2, "second": [ROW] * 2,
    }  # fmt: skip


def test_tables_of_two_runs_are_never_there_together(tmp_path: Path) -> None:
    dataset(tmp_path).save(tables(2))
    broken = tables(1) | {"second": pl.DataFrame({"model": ["m"]})}
    with pytest.raises(DatasetError, match="a column 'dimension'"):
        dataset(tmp_path).save(broken)
    assert not dataset(tmp_path).exists()
