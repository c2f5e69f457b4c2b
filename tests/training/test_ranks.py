"""Two processes that train together: the gradient, the weights and the files of one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from gecko_kedro.training.mixture import BatchPlan, plan_batches
from gecko_kedro.training.trainer import train_encoder
from tests.support.small_training import changed, examples, weights
from tests.support.tiny_encoder import tiny_encoder
from tests.support.two_processes import CASES, TRAINED

PROJECT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.timeout(600)


def torchrun(*arguments: object, code: int | None = 0) -> str:
    """Two processes of ``tests.support.two_processes``; what they printed."""
    run = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2",
         "--standalone", "-m", "tests.support.two_processes", *map(str, arguments)],
        cwd=PROJECT, env={**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
        text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=240, check=False,
    )  # fmt: skip
    assert code is None or run.returncode == code, run.stdout
    return run.stdout


@pytest.fixture(scope="module")
def differences(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[float]]:
    out = tmp_path_factory.mktemp("ranks") / "differences.json"
    torchrun("gradients", out)
    found: dict[str, list[float]] = json.loads(out.read_text("utf-8"))
    return found


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_gradient_of_two_processes_is_that_of_one_on_the_whole_batch(
    differences: dict[str, list[float]], case: tuple[object, ...]
) -> None:
    found = differences[repr(case)]
    assert len(found) > 10  # the loss and each trained tensor
    assert max(found) < 1e-9  # float64


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("together")
    torchrun("train", folder)
    return folder


def test_training_together_ends_in_the_weights_of_one_process(
    trained: Path, tmp_path: Path
) -> None:
    alone = train_encoder(
        tiny_encoder(), examples(40), settings=changed(**TRAINED), loss="gecko", name="finetune",
        checkpoints=tmp_path,
    )  # fmt: skip
    metrics = json.loads((trained / "metrics.json").read_text("utf-8"))
    history = pl.read_parquet(trained / "history.parquet")
    assert metrics["steps"] == alone.metrics["steps"]
    assert history["loss"].to_list() == pytest.approx(alone.history["loss"].to_list(), rel=1e-3)
    together, single = load_file(trained / "weights.safetensors"), weights(alone.model)
    assert together.keys() == single.keys()
    for name, weight in together.items():
        torch.testing.assert_close(weight, single[name], rtol=1e-3, atol=1e-4)


def test_killed_and_resumed_together_it_ends_in_the_same_weights_bit_for_bit(
    trained: Path, tmp_path: Path
) -> None:
    torchrun("train", tmp_path, 6, code=1)  # a checkpoint of step 4 is there
    assert not (tmp_path / "weights.safetensors").exists()
    torchrun("train", tmp_path)
    metrics = json.loads((tmp_path / "metrics.json").read_text("utf-8"))
    assert metrics["steps_resumed"] == 4
    assert (tmp_path / "weights.safetensors").read_bytes() == (
        trained / "weights.safetensors"
    ).read_bytes()


def test_a_batch_with_less_rows_than_processes_is_left_out_and_counted() -> None:
    def plan(fewest: int) -> BatchPlan:
        return plan_batches(
            examples(9), batch_size=4, epochs=1, max_steps=None, seed=1, fewest_rows=fewest
        )

    assert min(map(len, plan(1).batches)) == 1
    assert min(map(len, plan(2).batches)) >= 2
    assert plan(2).left_out == plan(1).left_out + 1
