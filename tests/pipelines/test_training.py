"""The nodes that train: what the parameters say of the encoder reaches the trainer."""

from pathlib import Path
from typing import Any

import pytest
import torch

from gecko_kedro.config import ParameterAwareConfigLoader
from gecko_kedro.encoder.record import stages_of
from gecko_kedro.encoder.saving import save_encoder
from gecko_kedro.params import Parameters, check_parameters
from gecko_kedro.pipelines.finetune.nodes import finetune_encoder
from gecko_kedro.pipelines.mine.nodes import train_seed_retriever
from gecko_kedro.pipelines.pretrain.nodes import pretrain_encoder
from gecko_kedro.training.settings import EncoderTraining
from tests.support.small_training import examples
from tests.support.tiny_encoder import tiny_encoder

pytestmark = pytest.mark.timeout(300)
CONF = Path(__file__).parents[2] / "conf"


@pytest.fixture
def parameters(tmp_path: Path) -> Parameters:
    """Those of the test profile, with a tiny encoder and adapters."""
    save_encoder(tiny_encoder(), tmp_path / "base")
    values = dict(
        ParameterAwareConfigLoader(
            str(CONF), env="test", base_env="base", merge_strategy={"parameters": "soft"}
        )["parameters"]
    )
    lora = {"rank": 2, "alpha": 4, "dropout": 0.0, "target_modules": "all-linear"}
    values["encoder"]["load"] |= {"reference": str(tmp_path / "base"), "device": "cpu"}
    values["encoder"]["train"]["lora"] = lora
    for stage in ("mine", "pretrain", "finetune"):
        values[stage]["train"]["loss"]["matryoshka_dims"] = []
    return check_parameters(values)


STAGES = ["seed_retriever", "pretrain", "finetune"]


def trained(stage: str, parameters: Parameters, folder: Path) -> Any:
    """The model after that stage, from the base."""
    rows, load, how = examples(40), parameters.encoder.load, parameters.encoder.train
    if stage == "seed_retriever":
        mine = parameters.mine
        return train_seed_retriever(rows, folder, load, how, mine.seed_retriever, mine.train)[0]
    if stage == "pretrain":
        return pretrain_encoder(rows, folder, load, how, parameters.pretrain.train)[0]
    return finetune_encoder(
        load.reference, rows, folder, load, how, parameters.finetune.train, runs=1
    )[0]


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_trains_the_adapters_that_the_parameters_ask_for(
    stage: str, parameters: Parameters, tmp_path: Path
) -> None:
    model = trained(stage, parameters, tmp_path)
    assert stages_of(model)[-1]["name"] == stage
    assert stages_of(model)[-1]["settings"]["lora"]["rank"] == 2


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_keeps_the_prompts_of_the_initial_embedder_where_it_is_told_to(
    stage: str, parameters: Parameters, tmp_path: Path
) -> None:
    base = tiny_encoder()
    base.prompts = {"query": "ask: ", "document": "tell: "}
    save_encoder(base, tmp_path / "base")
    prompts = trained(stage, parameters, tmp_path / "gecko").prompts
    assert prompts["query"].startswith("task: ")
    assert prompts["document"] == "title: none | text: "

    how = parameters.encoder.train.model_copy(update={"templates": "own"})
    own = parameters.encoder.model_copy(update={"train": how})
    kept = trained(stage, parameters.model_copy(update={"encoder": own}), tmp_path / "own").prompts
    assert (kept["query"], kept["document"]) == ("ask: ", "tell: ")
    assert set(kept.values()) == {"ask: ", "tell: "}  # that of every task is the base's, too


def test_several_runs_give_the_mean_of_their_weights(
    parameters: Parameters, tmp_path: Path
) -> None:
    load = parameters.encoder.load

    def weights(name: str, *, seed: int, runs: int) -> tuple[dict[str, Any], dict[str, float]]:
        train = parameters.finetune.train.model_copy(update={"seed": seed})
        model, _, metrics = finetune_encoder(
            load.reference, examples(40), tmp_path / name, load, EncoderTraining(), train, runs
        )
        return model.state_dict(), metrics

    both, metrics = weights("both", seed=3, runs=2)
    first, _ = weights("first", seed=3, runs=1)
    second, one = weights("second", seed=4, runs=1)
    assert metrics["averaged_runs"] == 2
    assert "averaged_runs" not in one
    moved = False
    for name, values in both.items():
        if values.is_floating_point():
            mean = (first[name].double() + second[name].double()) / 2
            torch.testing.assert_close(values, mean.to(values.dtype), rtol=0, atol=1e-7)
            moved |= not torch.equal(first[name], second[name])
    assert moved
