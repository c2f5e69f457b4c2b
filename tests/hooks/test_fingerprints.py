"""Fingerprints: what changed since an output was made is found and named."""

import os
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline
from pydantic import BaseModel, ConfigDict, Field

from gecko_kedro.base.shards import Shard
from gecko_kedro.datasets import (
    EncoderDataset,
    JsonDataset,
    ShardedParquetDataset,
    TableDataset,
)
from gecko_kedro.hooks.fingerprints import Change, Fingerprints, Outputs
from tests.support.conf import all_base_parameters


class Params(BaseModel):
    model_config = ConfigDict(frozen=True)
    limit: int = 3
    note: str = ""
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
    for name, made in (("short", shorten), ("twice", double)):
        fingerprints.begin(name)
        source = (catalog.load("source"), params) if made is shorten else (catalog.load("short"),)
        catalog.save(name, made(*source))
        fingerprints.record(name)


def outputs(folder: Path, params: Params) -> Outputs:
    return Fingerprints(PIPELINE, catalog_of(folder, params)).outputs()


def stale(folder: Path, params: Params) -> dict[str, Change]:
    return outputs(folder, params).stale


def test_nothing_changed(folder: Path) -> None:
    assert outputs(folder, Params()) == Outputs({}, {})


def test_a_changed_parameter_is_named_with_both_values(folder: Path) -> None:
    assert stale(folder, Params(limit=4)) == {
        "short": Change(("short.limit: 3 -> 4",)),
        "twice": Change((), follows=("short",)),
    }


def test_a_parameter_that_only_changes_speed_does_not_count(folder: Path) -> None:
    assert stale(folder, Params(threads=8)) == {}


def test_a_node_that_takes_all_parameters_is_stale_where_one_of_them_counts(
    tmp_path: Path,
) -> None:
    def show(parameters: dict[str, Any]) -> dict[str, Any]:
        return parameters

    pipeline = Pipeline([Node(show, "parameters", "page")])

    def made(**search: int) -> Fingerprints:
        parameters = all_base_parameters()
        parameters["mine"]["search"] |= search
        page = JsonDataset(filepath=str(tmp_path / "page.json"))
        given = MemoryDataset(parameters)
        return Fingerprints(pipeline, DataCatalog({"page": page, "parameters": given}))

    (tmp_path / "page.json").write_text("{}", "utf-8")
    made().record("page")
    assert made(threads=3).outputs() == Outputs({}, {})
    changed = made(n_candidates=3).outputs().stale
    assert changed == {"page": Change(("mine.search.n_candidates: 20 -> 3",))}


def test_a_long_value_is_cut_in_a_message(folder: Path) -> None:
    (said,) = stale(folder, Params(note="word " * 99))["short"].differences
    assert said.startswith("short.note: '' -> 'word word")
    assert len(said) < 120


def test_a_changed_input_file_is_named(folder: Path) -> None:
    pl.DataFrame({"x": [1]}).write_parquet(folder / "source.parquet")
    assert stale(folder, Params())["short"] == Change(("source is another one now",))


def test_an_output_put_there_by_hand_counts_as_an_input(folder: Path) -> None:
    pl.DataFrame({"x": [5, 6]}).write_parquet(folder / "short.parquet")
    found = outputs(folder, Params(limit=4))
    assert found.by_hand == {"short": folder / "short.parquet"}
    assert found.stale == {"twice": Change(("short is another one now",))}


def test_a_copy_with_other_times_is_the_same(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("copy"))
    for number, file in enumerate(sorted(copy.iterdir())):
        os.utime(file, (number, number))
    assert outputs(copy, Params()) == Outputs({}, {})


def test_a_folder_is_known_by_its_content(tmp_path: Path) -> None:
    def catalog() -> DataCatalog:
        made = catalog_of(tmp_path, Params())
        made["short"] = EncoderDataset(path=str(tmp_path / "model"))
        return made

    model = tmp_path / "model"
    model.mkdir()
    (model / "modules.json").write_text("[]")
    Fingerprints(PIPELINE, catalog()).record("short")
    shutil.copytree(model, tmp_path / "copy", copy_function=shutil.copyfile)
    shutil.rmtree(model)
    (tmp_path / "copy").rename(model)
    assert Fingerprints(PIPELINE, catalog()).outputs() == Outputs({}, {})
    (model / "modules.json").write_text("[1]")
    assert Fingerprints(PIPELINE, catalog()).outputs().by_hand == {"short": model}


def test_an_output_that_was_being_saved_when_a_run_was_killed_is_made_anew(folder: Path) -> None:
    pl.DataFrame({"x": range(9)}).write_parquet(folder / "source.parquet")
    Fingerprints(PIPELINE, catalog_of(folder, Params())).begin("short")
    found = outputs(folder, Params())
    assert found.by_hand == {}
    assert found.stale == {"short": Change(("short was being saved when a run was killed",))}


def test_a_damaged_record_makes_its_output_one_put_there_by_hand(folder: Path) -> None:
    (folder / ".short.parquet.fingerprint.json").write_text("{")
    assert list(outputs(folder, Params()).by_hand) == ["short"]


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
            "short@scan": TableDataset(filepath=short, scan=True),
        }
    )
    fingerprints = Fingerprints(pipeline, catalog)
    assert fingerprints.of("short@scan") == fingerprints.of("short@table")
    assert fingerprints.of("short@scan").digest == Fingerprints(PIPELINE, plain).of("short").digest
    fingerprints.record("twice")
    assert fingerprints.outputs() == Outputs({}, {})
    pl.DataFrame({"x": [5]}).write_parquet(short)  # put there by hand
    changed = Fingerprints(pipeline, catalog).outputs().stale
    assert changed == {"twice": Change(("short is another one now",))}
