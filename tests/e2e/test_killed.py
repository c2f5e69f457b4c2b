"""SIGKILL in each pipeline, then the same command again: the same tables, nothing paid twice."""

import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest

from tests.e2e.conftest import Project

pytestmark = pytest.mark.e2e
Sign = Callable[[Path], bool]


def appears(pattern: str, count: int = 1) -> Sign:
    """True once ``count`` files match ``pattern`` below the data folder."""
    return lambda data: len(list(data.glob(pattern))) >= count


# Pipeline, when to kill it, the table that has to come out, and what is removed before.
CASES = {
    "synthesize": (
        appears("03_primary/query_shards/shard-*.parquet"),
        "03_primary/queries.parquet",
    ),
    "mine": (
        appears("04_feature/passage_vector_shards/shard-*.parquet"),
        "04_feature/candidates.parquet",
    ),
    "relabel": (
        appears("05_model_input/judgement_shards/shard-*.parquet"),
        "05_model_input/fret.parquet",
    ),
    "pretrain": (
        appears("06_models/checkpoints/pretrain/**/trainer_state.json", 2),
        "06_models/pretrain_history.parquet",
    ),
    "finetune": (
        appears("06_models/checkpoints/finetune/**/trainer_state.json", 2),
        "06_models/finetune_history.parquet",
    ),
    "evaluate": (
        appears("07_model_output/evaluation_cache/**/per_query/**/*.parquet", 2),
        "07_model_output/evaluation_scores/scores.parquet",
    ),
}
LAYERS = {
    "synthesize": ["02_intermediate", "03_primary"],
    "mine": ["04_feature"],
    "relabel": ["05_model_input/judgement_shards", "05_model_input/refused_query_shards",
                "05_model_input/rankings.parquet", "05_model_input/fret.parquet"],
    "pretrain": ["06_models/pretrained_encoder", "06_models/pretrain_history.parquet"],
    "finetune": ["06_models/gecko_encoder", "06_models/finetune_history.parquet"],
    "evaluate": ["07_model_output"],
}  # fmt: skip


def kill_when(process: subprocess.Popen[str], sign: Sign, data: Path) -> bool:
    """SIGKILL as soon as ``sign`` holds; False when the process ended before."""
    deadline = time.monotonic() + 300
    while process.poll() is None and time.monotonic() < deadline:
        if sign(data):
            process.send_signal(signal.SIGKILL)
            process.communicate()
            return True
        time.sleep(0.002)
    return False


@pytest.mark.parametrize("stage", CASES)
def test_a_killed_run_goes_on_and_ends_as_an_undisturbed_one(project: Project, stage: str) -> None:
    sign, table = CASES[stage]
    expected = pl.read_parquet(project.data / table)
    for place in LAYERS[stage]:
        subprocess.run(["rm", "-rf", str(project.data / place)], check=True)
    process = project.start("--pipelines", stage)
    killed = kill_when(process, sign, project.data)
    assert killed, process.communicate()[0]
    assert not (project.data / table).exists() or stage == "evaluate"
    project.run("--pipelines", stage, "--only-missing-outputs")
    drop = [name for name in expected.columns if name == "vector"]
    assert pl.read_parquet(project.data / table).drop(drop).equals(expected.drop(drop))
    with closing(sqlite3.connect(project.root / "mlflow.db")) as database:
        statuses = {status for (status,) in database.execute("select status from runs")}
    assert statuses == {"FINISHED", "KILLED"}  # none that runs for ever
