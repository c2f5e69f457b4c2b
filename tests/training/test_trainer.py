"""Training with a tiny random model: exact resuming, clear ends, few rows."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from gecko_kedro.base import events
from gecko_kedro.base.errors import InputError
from gecko_kedro.encoder.record import stages_of
from gecko_kedro.training.checkpoints import last_whole_checkpoint, remove_checkpoints
from gecko_kedro.training.examples import EXAMPLE_SCHEMA
from gecko_kedro.training.settings import TrainSettings
from gecko_kedro.training.trainer import HISTORY_SCHEMA, train_encoder
from tests.support.example_rows import example, table
from tests.support.small_training import SETTINGS, assert_equal_weights, changed, examples, weights
from tests.support.tiny_encoder import WIDTH, tiny_encoder

pytestmark = pytest.mark.timeout(300)


def run(folder: Path, **rest: object):
    arguments = {"settings": SETTINGS, "loss": "gecko", "name": "finetune"} | rest
    return train_encoder(tiny_encoder(), examples(40), checkpoints=folder, **arguments)


def test_training_lowers_the_loss_and_says_what_it_did(tmp_path: Path) -> None:
    seen: list[tuple[str, int, dict[str, float]]] = []
    with events.listening(lambda name, step, values: seen.append((name, step, dict(values)))):
        result = run(tmp_path, settings=changed(epochs=6))
    history, metrics = result.history, result.metrics
    assert dict(history.schema) == dict(HISTORY_SCHEMA)
    assert history["step"].to_list() == list(range(1, int(metrics["steps"]) + 1))
    assert history["epoch"][-1] == 6
    assert history["loss"].tail(8).mean() < history["loss"].head(8).mean()
    assert metrics["examples"] == 40
    assert metrics["steps_resumed"] == 0
    assert [(name, step) for name, step, _ in seen] == [
        ("finetune", step) for step in history["step"]
    ]
    assert all(values.keys() == {"loss", "learning_rate"} for _, _, values in seen)
    assert result.model.prompts["query"] == "task: search result | query: "
    assert stages_of(result.model)[-1]["settings"]["loss"]["temperature"] == 0.05


def test_the_models_attention_and_dropout_come_back(tmp_path: Path) -> None:
    model = run(tmp_path).model
    assert model.transformers_model.config._attn_implementation == "sdpa"
    assert {m.p for m in model.modules() if isinstance(m, torch.nn.Dropout)} == {0.1}


def test_the_same_call_gives_the_same_weights(tmp_path: Path) -> None:
    first, second = run(tmp_path / "a"), run(tmp_path / "b")
    assert_equal_weights(weights(first.model), weights(second.model))
    assert first.history.equals(second.history)
    other = run(tmp_path / "c", settings=changed(seed=4))
    assert not torch.equal(
        next(iter(first.model.parameters())), next(iter(other.model.parameters()))
    )


def test_a_finished_run_is_not_run_again(tmp_path: Path) -> None:
    first, again = run(tmp_path), run(tmp_path)
    assert again.metrics["steps_resumed"] == again.metrics["steps"]
    assert_equal_weights(weights(first.model), weights(again.model))
    assert again.history.equals(first.history)
    remove_checkpoints(tmp_path, "finetune")
    assert run(tmp_path).metrics["steps_resumed"] == 0


def test_changed_settings_do_not_resume_from_another_run(tmp_path: Path) -> None:
    run(tmp_path)
    assert run(tmp_path, settings=changed(learning_rate=2e-3)).metrics["steps_resumed"] == 0
    assert run(tmp_path, loss="in_batch").metrics["steps_resumed"] == 0
    assert run(tmp_path, settings=changed(checkpoint_steps=5)).metrics["steps_resumed"] > 0


@pytest.mark.parametrize("caching", [False, True])
def test_killed_and_resumed_training_ends_in_the_same_weights_bit_for_bit(
    tmp_path: Path, caching: bool
) -> None:
    settings = changed(epochs=4, gradient_caching=caching)
    whole = run(tmp_path / "whole", settings=settings)
    script = textwrap.dedent(
        f"""
        import sys, time
        from pathlib import Path
        sys.path.insert(0, {str(Path(__file__).parents[2])!r})
        from gecko_kedro.base import events
        from tests.training import test_trainer
        def slow(name, step, values):
            if step == 11:  # checkpoints of steps 4 and 8 are written, that of 12 never
                print("at step 11", flush=True)
                time.sleep(600)
        events.subscribe(slow)
        folder = Path({str(tmp_path / "killed")!r})
        settings = test_trainer.changed(epochs=4, gradient_caching={caching})
        test_trainer.run(folder, settings=settings)
        """
    )
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "at step 11\n"
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    resumed = run(tmp_path / "killed", settings=settings)
    assert resumed.metrics["steps_resumed"] == 8
    assert_equal_weights(weights(whole.model), weights(resumed.model))
    assert resumed.history.equals(whole.history)


@pytest.mark.parametrize("damage", ["cut", "missing", "unsealed"])
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    whole = run(tmp_path)
    last = max(tmp_path.glob("finetune/*/checkpoint-*"), key=lambda path: path.stat().st_mtime_ns)
    if damage == "cut":
        content = (last / "optimizer.pt").read_bytes()
        (last / "optimizer.pt").write_bytes(content[: len(content) // 2])
    elif damage == "missing":
        (last / "model.safetensors").unlink()
    else:
        (last / "sealed.json").unlink()
    resumed = run(tmp_path)
    assert 0 < resumed.metrics["steps_resumed"] < whole.metrics["steps"]
    assert f"Removed {last}" in caplog.text
    assert_equal_weights(weights(whole.model), weights(resumed.model))


def test_no_checkpoint_is_whole_in_an_empty_folder(tmp_path: Path) -> None:
    assert last_whole_checkpoint(tmp_path) is None


def test_a_loss_that_is_not_finite_names_the_step_and_keeps_the_rows(tmp_path: Path) -> None:
    model = tiny_encoder()
    with torch.no_grad():
        next(iter(model.parameters()))[:] = float("nan")
    with pytest.raises(InputError, match=r"finetune, step 1: expected a finite loss") as caught:
        train_encoder(
            model,
            examples(40),
            settings=SETTINGS,
            loss="gecko",
            name="finetune",
            checkpoints=tmp_path,
        )
    (path,) = tmp_path.glob("finetune/*/not_finite_step_1.jsonl")
    assert str(path) in str(caught.value)
    rows = pl.read_ndjson(path, schema=EXAMPLE_SCHEMA)
    assert rows["negatives"].list.len().is_in([0, 2]).all()
    assert rows.height == SETTINGS.batch_size
    assert rows["query"].is_in(examples(40)["query"].implode()).all()


def test_a_gradient_that_is_not_finite_stops_before_the_weights_change(tmp_path: Path) -> None:
    model = tiny_encoder()
    before = weights(model)
    parameter = next(iter(model.parameters()))
    parameter.register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(InputError, match="finite gradient"):
        train_encoder(
            model,
            examples(40),
            settings=SETTINGS,
            loss="gecko",
            name="finetune",
            checkpoints=tmp_path,
        )
    assert_equal_weights(weights(model), before)


@pytest.mark.parametrize("rows", [1, 2, 5, 7])
@pytest.mark.parametrize("loss", ["gecko", "in_batch"])
def test_it_works_with_fewer_rows_than_a_batch(tmp_path: Path, rows: int, loss: str) -> None:
    result = train_encoder(
        tiny_encoder(),
        examples(rows),
        settings=SETTINGS,
        loss=loss,
        name="few",
        checkpoints=tmp_path,
    )
    assert np.isfinite(result.history["loss"].to_numpy()).all()


def test_one_pair_alone_teaches_nothing_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = tiny_encoder()
    before = weights(model)
    pair = examples(2).tail(1)
    result = train_encoder(
        model, pair, settings=SETTINGS, loss="in_batch", name="one", checkpoints=tmp_path
    )
    assert "no in-batch negatives" in caplog.text
    assert result.history["loss"].to_list() == [0.0, 0.0]
    assert_equal_weights(weights(model), before)


def test_in_batch_training_does_not_look_at_negatives(tmp_path: Path) -> None:
    without = examples(40).with_columns(negatives=pl.lit([], EXAMPLE_SCHEMA["negatives"]))
    first = run(tmp_path / "a", loss="in_batch")
    second = train_encoder(
        tiny_encoder(),
        without,
        settings=SETTINGS,
        loss="in_batch",
        name="finetune",
        checkpoints=tmp_path / "b",
    )
    assert_equal_weights(weights(first.model), weights(second.model))


@pytest.mark.parametrize(
    ("settings", "rows", "message"),
    [
        (SETTINGS, 0, "expected at least one row"),
        (changed(matryoshka_dims=(WIDTH + 1,)), 8, f"numbers from 1 to {WIDTH}"),
        (changed(max_seq_length=65), 8, "at most 64"),
    ],
)
def test_what_cannot_be_trained_is_refused_at_once(
    tmp_path: Path, settings: TrainSettings, rows: int, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        train_encoder(
            tiny_encoder(),
            examples(rows),
            settings=settings,
            loss="gecko",
            name="finetune",
            checkpoints=tmp_path,
        )


def test_half_precision_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="for_training=True"):
        train_encoder(
            tiny_encoder().bfloat16(),
            examples(8),
            settings=SETTINGS,
            loss="gecko",
            name="finetune",
            checkpoints=tmp_path,
        )


def test_bfloat16_autocast_stays_close_to_float32(tmp_path: Path) -> None:
    settings = changed(max_steps=3)
    exact = run(tmp_path / "fp32", settings=settings)
    half = run(tmp_path / "bf16", settings=changed(max_steps=3, precision="bf16"))
    assert half.model.dtype == torch.float32
    ours, theirs = weights(half.model), weights(exact.model)
    assert any(not torch.equal(ours[name], theirs[name]) for name in ours)
    np.testing.assert_allclose(half.history["loss"], exact.history["loss"], rtol=0.02)


def test_gradient_caching_trains_the_same_model(tmp_path: Path) -> None:
    settings = changed(max_steps=4, learning_rate=1e-4)
    plain = run(tmp_path / "plain", settings=settings)
    cached = run(
        tmp_path / "cached", settings=settings.model_copy(update={"gradient_caching": True})
    )
    np.testing.assert_allclose(cached.history["loss"], plain.history["loss"], rtol=1e-4)
    ours, theirs = weights(cached.model), weights(plain.model)
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "departure",
    [
        {"negatives": "all", "max_negatives": 2},
        {"negatives": "none"},
        {"hardness": 5.0},
        {"spread_out": 1.0},
        {"distillation": 1.0},
        {"distillation": 1.0, "gradient_caching": True},
        {"same_tower": False, "matryoshka_dims": ()},
        {"tokens_per_pass": None},
    ],
)
def test_each_departure_from_the_paper_trains_and_is_another_run(
    tmp_path: Path, departure: dict[str, object]
) -> None:
    settings = changed(max_steps=3)
    paper = run(tmp_path, settings=settings)
    other = run(tmp_path, settings=changed(max_steps=3, **departure))
    assert other.metrics["steps_resumed"] == 0
    assert np.isfinite(other.history["loss"].to_numpy()).all()
    if departure != {"tokens_per_pass": None}:
        assert (other.history["loss"] - paper.history["loss"]).abs().max() > 1e-6


def test_max_steps_ends_the_run_earlier(tmp_path: Path) -> None:
    result = run(tmp_path, settings=changed(max_steps=3, epochs=1000))
    assert result.metrics["steps"] == 3
    assert result.history["learning_rate"].arg_max() < 2  # the decay is that of three steps


def test_only_texts_beyond_the_length_trained_on_count_as_truncated(tmp_path: Path) -> None:
    assert run(tmp_path / "a").metrics["texts_truncated_share"] > 0.5
    rows = table(*(example(query=f"q{i}", positive=f"p{i}") for i in range(4)))
    settings = changed(max_seq_length=64, epochs=1)
    result = train_encoder(
        tiny_encoder(), rows, settings=settings, loss="gecko", name="short",
        checkpoints=tmp_path / "b",
    )  # fmt: skip
    assert result.metrics["texts_truncated_share"] == 0
