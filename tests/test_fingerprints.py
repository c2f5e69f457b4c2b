"""Fingerprints: what changed since an output was made is found and named."""

from pathlib import Path

import polars as pl
import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline
from pydantic import BaseModel, ConfigDict, Field

from gecko_kedro.base.shards import Shard
from gecko_kedro.datasets import ShardedParquetDataset, TableDataset, TableScanDataset
from gecko_kedro.hooks.fingerprints import Fingerprints


class Params(BaseModel):
    model_config = ConfigDict(frozen=True)
    limit: int = 3
    threads: int = Field(default=1, json_schema_extra={"execution_only": True})


def shorten(source: pl.DataFrame, params: Params) -> pl.DataFrame:
    return source.head(params.limit)


def double(short: pl.DataFrame) -> pl.DataFrame:
    return pl.concat([short, short])


PIPELINE = Pipeline(
    [
        Node(shorten, inputs=["source", "params:short"], outputs="short", name="shorten"),
        Node(double, inputs="short", outputs="twice", name="double"),
    ]
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pl.DataFrame({"x": range(9)}).write_parquet(tmp_path / "source.parquet")
    run(tmp_path, Params())
    return tmp_path


def catalog_of(folder: Path, params: Params) -> DataCatalog:
    files = {
        name: TableDataset(filepath=str(folder / f"{name}.parquet"))
        for name in ("source", "short", "twice")
    }
    return DataCatalog(datasets={**files, "params:short": MemoryDataset(params)})


def run(folder: Path, params: Params) -> None:
    catalog = catalog_of(folder, params)
    fingerprints = Fingerprints(PIPELINE, catalog)
    catalog.save("short", shorten(catalog.load("source"), params))
    fingerprints.record("short")
    catalog.save("twice", double(catalog.load("short")))
    fingerprints.record("twice")


def changed(folder: Path, params: Params) -> dict[str, tuple[str, ...]]:
    changes = Fingerprints(PIPELINE, catalog_of(folder, params)).changes()
    return {change.dataset: change.differences for change in changes}


def test_nothing_changed(folder: Path) -> None:
    assert changed(folder, Params()) == {}


def test_a_changed_parameter_is_named_with_both_values(folder: Path) -> None:
    assert changed(folder, Params(limit=4)) == {
        "short": ("short.limit: 3 -> 4",),
        "twice": ("dataset short is another one now",),
    }


def test_a_parameter_that_only_changes_speed_does_not_count(folder: Path) -> None:
    assert changed(folder, Params(threads=8)) == {}


def test_a_changed_input_file_is_named(folder: Path) -> None:
    pl.DataFrame({"x": [1]}).write_parquet(folder / "source.parquet")
    assert changed(folder, Params())["short"] == ("dataset source is another one now",)


def test_an_output_put_there_by_hand_counts_as_an_input(folder: Path) -> None:
    pl.DataFrame({"x": [5, 6]}).write_parquet(folder / "short.parquet")
    assert changed(folder, Params(limit=4)) == {"twice": ("dataset short is another one now",)}


def test_shards_learn_the_fingerprint_that_they_must_have(tmp_path: Path) -> None:
    pl.DataFrame({"x": range(9)}).write_parquet(tmp_path / "source.parquet")

    def sharded(params: Params) -> ShardedParquetDataset:
        catalog = catalog_of(tmp_path, params)
        shards = ShardedParquetDataset(path=str(tmp_path / "shards"))
        catalog["short"] = shards
        Fingerprints(PIPELINE, catalog).announce()
        return shards

    sharded(Params()).save(Shard(0, 2, pl.DataFrame({"x": [1]})))
    assert sharded(Params()).finished() == {0}
    assert sharded(Params(limit=7)).finished() == frozenset()


def test_two_ways_to_read_a_table_are_one_dataset(folder: Path) -> None:
    def count(short: pl.LazyFrame) -> pl.DataFrame:
        return short.select(pl.len()).collect()

    pipeline = Pipeline(
        [
            Node(shorten, inputs=["source", "params:short"], outputs="short@table"),
            Node(count, inputs="short@scan", outputs="twice"),
        ]
    )
    plain = catalog_of(folder, Params())
    short = str(folder / "short.parquet")
    catalog = DataCatalog(
        datasets={
            "source": plain.get("source"),
            "twice": plain.get("twice"),
            "params:short": plain.get("params:short"),
            "short@table": TableDataset(filepath=short),
            "short@scan": TableScanDataset(filepath=short),
        }
    )
    fingerprints = Fingerprints(pipeline, catalog)
    assert fingerprints.of("short@scan") == fingerprints.of("short@table")
    assert fingerprints.of("short@scan").digest == Fingerprints(PIPELINE, plain).of("short").digest
    fingerprints.record("twice")
    assert fingerprints.changes() == []
    pl.DataFrame({"x": [5]}).write_parquet(short)  # put there by hand
    changed = Fingerprints(pipeline, catalog).changes()
    assert [change.dataset for change in changed] == ["twice"]
    assert changed[0].differences == ("dataset short is another one now",)
