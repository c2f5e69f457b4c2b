"""The mean of the weights after the last steps."""

from pathlib import Path

import pytest
import torch

from gecko_kedro.base import events
from gecko_kedro.training import heldout
from gecko_kedro.training.settings import LoraSettings
from gecko_kedro.training.trainer import TrainResult, train_encoder
from tests.support.small_training import assert_equal_weights, changed, examples, weights
from tests.support.tiny_encoder import tiny_encoder

pytestmark = pytest.mark.timeout(300)


def run(
    folder: Path,
    model: torch.nn.Module | None = None,
    lora: LoraSettings | None = None,
    **values: object,
) -> TrainResult:
    settings = changed(**{"average_share": 0.5, "epochs": 3} | values)
    return train_encoder(
        model or tiny_encoder(), examples(24), settings=settings, loss="gecko", name="averaged",
        checkpoints=folder, lora=lora,
    )  # fmt: skip


def test_the_weights_are_the_mean_over_the_last_share_of_the_steps(tmp_path: Path) -> None:
    model = tiny_encoder()
    seen: list[dict[str, torch.Tensor]] = []
    with events.listening(lambda *_: seen.append(weights(model))):
        result = run(tmp_path, model)
    steps = int(result.metrics["steps"])
    assert result.metrics["averaged_steps"] == round(steps / 2)
    last = seen[-round(steps / 2) :]
    for name, weight in weights(model).items():
        mean = torch.stack([one[name] for one in last]).double().mean(dim=0).float()
        torch.testing.assert_close(weight, mean, rtol=1e-5, atol=1e-6)
    assert any(not torch.equal(weight, seen[-1][name]) for name, weight in weights(model).items())


def test_without_a_share_the_weights_are_those_after_the_last_step(tmp_path: Path) -> None:
    model = tiny_encoder()
    seen: list[dict[str, torch.Tensor]] = []
    with events.listening(lambda *_: seen.append(weights(model))):
        result = run(tmp_path, model, average_share=0)
    assert result.metrics["averaged_steps"] == 0
    assert_equal_weights(weights(model), seen[-1])


class Killed(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize("step", [5, 10])
@pytest.mark.parametrize("adapted", [False, True])
def test_a_resumed_run_has_the_same_mean(tmp_path: Path, step: int, adapted: bool) -> None:
    rank = LoraSettings(rank=2, alpha=4, dropout=0, target_modules="all-linear")
    lora = rank if adapted else None
    whole = run(tmp_path / "whole", lora=lora)

    def kill(name: str, at: int, values: object) -> None:
        if at == step:
            raise Killed

    with pytest.raises(Killed), events.listening(kill):
        run(tmp_path / "cut", lora=lora)
    resumed = run(tmp_path / "cut", lora=lora)
    assert 0 < resumed.metrics["steps_resumed"] < step
    assert_equal_weights(weights(resumed.model), weights(whole.model))
    again = run(tmp_path / "cut", lora=lora)
    assert again.metrics["steps_resumed"] == again.metrics["steps"]
    assert_equal_weights(weights(again.model), weights(whole.model))


@pytest.mark.parametrize(("of_the_mean", "taken"), [(0.9, True), (0.1, False)])
def test_with_held_out_rows_the_mean_must_not_be_worse_than_the_best_weights_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of_the_mean: float, taken: bool
) -> None:
    given = {"heldout_rows": 4, "evaluation_steps": 4, "epochs": 4}
    scores: list[float] = []

    def score(*_: object, **__: object) -> float:
        return scores.pop(0)

    monkeypatch.setattr(heldout, "heldout_score", score)
    looks = [0.5] * 20
    scores[:] = looks
    best = run(tmp_path / "best", average_share=0, **given)
    used = 20 - len(scores)
    scores[:] = [*looks[:used], of_the_mean]
    result = run(tmp_path / "mean", **given)
    assert not scores
    assert (result.metrics["averaged_steps"] > 0) == taken
    assert result.metrics["heldout_ndcg_at_10"] == (of_the_mean if taken else 0.5)
    same = all(
        torch.equal(weight, weights(best.model)[name])
        for name, weight in weights(result.model).items()
    )
    assert same != taken
