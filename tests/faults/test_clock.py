"""A clock that goes backwards: nothing asks which of two files is the newer one."""

import ast
import os
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline

from gecko_kedro.base import events
from gecko_kedro.base.shards import Shard
from gecko_kedro.datasets import ShardedParquetDataset, TableDataset
from gecko_kedro.hooks.fingerprints import Fingerprints, Outputs
from gecko_kedro.training.checkpoints import last_whole_checkpoint, seal_checkpoint
from gecko_kedro.training.trainer import train_encoder
from tests.conftest import PROJECT
from tests.support.observing import Observe
from tests.support.small_training import changed, examples
from tests.support.tiny_encoder import tiny_encoder

pytestmark = pytest.mark.faults
PAST, FUTURE = 10**18 // 2, 4 * 10**18  # 1985 and 2096, nanoseconds
CLOCKS = {"mtime", "getmtime", "st_mtime", "st_ctime", "now", "utcnow", "today"}
# Who may look at the clock or at a file's time, and what for.
ALLOWED = {
    "base/digests.py": "equal or not; where size or time differ, the content decides",
    "hooks/ledger.py": "when the run began, for the reader",
    "hooks/lock.py": "when the holder began, for the reader",
    "hooks/mlflow_run.py": "the time axis of MLflow's plots",
    "teacher/http/pacing.py": "a Retry-After that is a date; at least zero, at most longest_wait_s",
}


def set_times(folder: Path, *moments: int) -> None:
    for n, file in enumerate(sorted(file for file in folder.rglob("*") if file.is_file())):
        os.utime(file, ns=(moments[n % len(moments)],) * 2)


def make(source: pl.DataFrame) -> pl.DataFrame:
    return source


def test_shards_checkpoints_and_fingerprints_do_not_depend_on_the_clock(
    tmp_path: Path, observe: Observe
) -> None:
    table = pl.DataFrame({"number": range(6)})
    shards = ShardedParquetDataset(path=str(tmp_path / "shards"))
    for index in (2, 0, 1):
        shards.save(Shard(index, 3, table[index * 2 : index * 2 + 2]))
    for step in (9, 10):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}" / "weights").write_bytes(b"x" * step)
        seal_checkpoint(tmp_path / f"checkpoint-{step}")
    pipeline = Pipeline([Node(make, "source", "made")])
    names = ("source", "made")
    catalog = DataCatalog({n: TableDataset(filepath=str(tmp_path / f"{n}.parquet")) for n in names})
    for name in names:
        catalog.save(name, table)
    Fingerprints(pipeline, catalog).record("made")
    digest = Fingerprints(pipeline, catalog).of("made").digest
    for moments in ((PAST,), (FUTURE,), (FUTURE, PAST), (PAST, FUTURE)):
        set_times(tmp_path, *moments)
        assert shards.finished() == {0, 1, 2}
        assert shards.load().equals(table)
        assert last_whole_checkpoint(tmp_path) == tmp_path / "checkpoint-10"
        assert Fingerprints(pipeline, catalog).outputs() == Outputs({}, {})
        assert Fingerprints(pipeline, catalog).of("made").digest == digest
    observe("file times of 1985 and 2096, mixed", "the same shards, checkpoint and fingerprints")


def test_a_clock_set_back_while_training_costs_no_checkpoint(
    tmp_path: Path, observe: Observe
) -> None:
    def clock_was_ahead(name: str, step: int, values: object) -> None:
        for folder in tmp_path.glob("finetune/*/checkpoint-*"):
            os.utime(folder, ns=(FUTURE, FUTURE))

    stop = events.subscribe(clock_was_ahead)
    try:
        train_encoder(
            tiny_encoder(), examples(12), settings=changed(epochs=4, checkpoint_steps=2),
            loss="gecko", name="finetune", checkpoints=tmp_path,
        )  # fmt: skip
    finally:
        stop()
    kept = sorted(folder.name for folder in tmp_path.glob("finetune/*/checkpoint-*"))
    assert kept == ["checkpoint-6", "checkpoint-8"]
    observe("the clock set back in mid-training", "the checkpoints of the highest steps are kept")


def clocks_in(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Attribute) and (
            node.attr.removesuffix("_ns") in CLOCKS or ast.unparse(node) == "time.time"
        ):
            yield node.attr


def test_only_these_files_look_at_the_clock() -> None:
    source = PROJECT / "src" / "gecko_kedro"
    found = {
        file.relative_to(source).as_posix() for file in source.rglob("*.py") if any(clocks_in(file))
    }
    assert found == set(ALLOWED)
