"""kedro run under torchrun: the first process runs the pipeline, the second trains along."""

import json
import sqlite3
import subprocess
import sys
from contextlib import closing

import polars as pl
import pytest

from tests.e2e.conftest import Project, environment

pytestmark = pytest.mark.e2e


def finetune_together(project: Project, *, code: int = 0, **variables: str) -> str:
    run = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
         "-m", "gecko_kedro", "--env", "test", "--pipelines", "finetune"],
        cwd=project.root, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=500,
        env={**environment(), "GLOO_SOCKET_IFNAME": "lo", **variables}, check=False,
    )  # fmt: skip
    assert (run.returncode == 0) == (code == 0), run.stdout
    return run.stdout


def runs_in_mlflow(project: Project) -> int:
    with closing(sqlite3.connect(project.root / "mlflow.db")) as database:
        return int(database.execute("select count(*) from runs").fetchone()[0])


def test_two_processes_fine_tune_and_one_of_them_writes(project: Project) -> None:
    history = project.data / "06_models/finetune_history.parquet"
    alone, runs = pl.read_parquet(history), runs_in_mlflow(project)
    output = finetune_together(project)
    assert runs_in_mlflow(project) == runs + 1
    assert output.count("finetune_encoder ") == 1  # of the table of costs
    assert not list((project.data / "06_models/checkpoints").glob("finetune/*"))
    together = pl.read_parquet(history)
    assert together["step"].to_list() == alone["step"].to_list()
    assert together["loss"].to_list() == pytest.approx(alone["loss"].to_list(), rel=1e-4)
    metrics = json.loads((project.data / "08_reporting/finetune_metrics.json").read_text("utf-8"))
    assert metrics["steps"] == together["step"].max()


def test_an_error_of_the_first_process_ends_both_with_one_message(project: Project) -> None:
    (project.data / "05_model_input/fret.parquet").unlink()
    output = finetune_together(project, code=1)
    assert output.count("dataset 'fret'") == 1
    assert not (project.data / ".run.json").exists()
    assert (project.data / "06_models/gecko_encoder").is_dir()
