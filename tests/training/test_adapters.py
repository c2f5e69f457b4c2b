"""LoRA: few trained weights, exact resuming, and a plain model at the end."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from sentence_transformers import SentenceTransformer
from transformers import (
    LlamaConfig,
    LlamaModel,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen2Model,
    T5Config,
    T5EncoderModel,
)

from gecko_kedro.base import events
from gecko_kedro.base.errors import InputError
from gecko_kedro.encoder.encoding import encode_texts
from gecko_kedro.encoder.loading import load_encoder
from gecko_kedro.encoder.record import stages_of
from gecko_kedro.encoder.saving import save_encoder
from gecko_kedro.training import heldout
from gecko_kedro.training.adapters import adapted, is_adapted, trained_weights
from gecko_kedro.training.settings import LoraSettings, TrainSettings
from gecko_kedro.training.trainer import TrainResult, train_encoder
from tests.support.small_training import SETTINGS, assert_equal_weights, changed, examples, weights
from tests.support.tiny_encoder import WIDTH, save_tiny_transformer, tiny_encoder

pytestmark = pytest.mark.timeout(300)

LORA = LoraSettings(rank=4, alpha=8, dropout=0.0, target_modules="all-linear")
TEXTS = ["abc", "abd", "a much longer text than those"]
FAST = changed(learning_rate=5e-3, max_steps=6)  # adapters begin at zero: make them count
SIZES = {"vocab_size": 200, "num_hidden_layers": 2}
DECODER = {"hidden_size": WIDTH, "intermediate_size": 64, "num_attention_heads": 4,
           "num_key_value_heads": 2, "max_position_embeddings": 64}  # fmt: skip
OTHERS: dict[str, tuple[type[PreTrainedModel], PreTrainedConfig]] = {
    "llama": (LlamaModel, LlamaConfig(**SIZES, **DECODER)),
    "qwen2": (Qwen2Model, Qwen2Config(**SIZES, **DECODER)),
    "t5": (T5EncoderModel, T5Config(vocab_size=200, d_model=WIDTH, d_kv=8, d_ff=64, num_layers=2,
                                    num_heads=4, feed_forward_proj="gated-gelu")),
}  # fmt: skip


def train(
    model: SentenceTransformer,
    folder: Path,
    settings: TrainSettings = FAST,
    lora: LoraSettings | None = LORA,
) -> TrainResult:
    return train_encoder(
        model, examples(24), settings=settings, loss="gecko", name="finetune",
        checkpoints=folder, lora=lora,
    )  # fmt: skip


def moved(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    assert before.keys() == after.keys()
    return {name for name in before if not torch.equal(before[name], after[name])}


def test_only_the_named_layers_and_what_is_behind_the_transformer_change(tmp_path: Path) -> None:
    folder = str(save_tiny_transformer(tmp_path / "base"))
    model = load_encoder(folder, device="cpu", for_training=True, width=24)
    before = weights(model)
    lora = LORA.model_copy(update={"target_modules": ("query", "attention.output.dense")})
    result = train(model, tmp_path / "checkpoints", changed(max_steps=4), lora)
    kinds = {name.partition("attention.")[2] or name for name in moved(before, weights(model))}
    assert kinds == {"self.query.weight", "output.dense.weight", "2.linear.weight"}
    assert all(parameter.requires_grad for parameter in result.model.parameters())
    assert not hasattr(model.transformers_model, "peft_config")
    assert stages_of(model)[-1]["settings"]["lora"]["rank"] == 4


def test_the_change_of_a_layer_has_the_rank_and_no_more(tmp_path: Path) -> None:
    model = tiny_encoder()
    before = weights(model)
    after = weights(train(model, tmp_path, lora=LORA.model_copy(update={"rank": 2})).model)
    changes = moved(before, after)
    assert len(changes) == 2 * 6  # the linear layers of two blocks
    for name in changes:
        assert torch.linalg.matrix_rank(after[name] - before[name], rtol=1e-3) <= 2


@pytest.mark.parametrize("kind", [None, *OTHERS])
@pytest.mark.parametrize("caching", [False, True])
def test_the_saved_encoder_is_a_plain_one_with_the_same_vectors(
    tmp_path: Path, kind: str | None, caching: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = save_tiny_transformer(tmp_path / "base")
    if kind is not None:
        torch.manual_seed(0)
        architecture, config = OTHERS[kind]
        architecture(config).save_pretrained(base)
    model = load_encoder(str(base), device="cpu", dtype="float32", width=24)
    untrained = encode_texts(model, TEXTS, batch_size=3)
    settings = FAST.model_copy(update={"gradient_caching": caching})
    train(model, tmp_path / "checkpoints", settings)
    vectors = encode_texts(model, TEXTS, batch_size=3)
    assert np.abs(vectors - untrained).max() > 0.01
    save_encoder(model, tmp_path / "saved")
    names = safe_open(tmp_path / "saved/model.safetensors", framework="pt").keys()
    assert not [name for name in names if "lora" in name or "base_layer" in name]
    assert not list((tmp_path / "saved").rglob("adapter*"))
    monkeypatch.setitem(sys.modules, "peft", None)  # an import of it would now fail
    plain = SentenceTransformer(str(tmp_path / "saved"), device="cpu")
    np.testing.assert_allclose(plain.encode(TEXTS), vectors, atol=1e-6)


def test_adapters_alone_lower_the_loss(tmp_path: Path) -> None:
    settings = changed(epochs=10, learning_rate=3e-3)
    losses = train(tiny_encoder(), tmp_path, settings).history["loss"]
    assert losses.tail(8).mean() < losses.head(8).mean()


def test_merging_keeps_the_vectors_of_the_adapted_model() -> None:
    model = tiny_encoder().eval()
    with adapted(model, LORA, seed=0):
        assert is_adapted(model)
        for name, weight in trained_weights(model).items():
            torch.nn.init.normal_(weight, std=0.1) if "lora_B" in name else None
        vectors = encode_texts(model, TEXTS, batch_size=3)
    assert not is_adapted(model)
    assert np.abs(encode_texts(tiny_encoder(), TEXTS, batch_size=3) - vectors).max() > 0.01
    np.testing.assert_allclose(encode_texts(model, TEXTS, batch_size=3), vectors, atol=1e-6)


def test_without_settings_nothing_is_put_in() -> None:
    model = tiny_encoder()
    with adapted(model, None, seed=0):
        assert not is_adapted(model)
        assert trained_weights(model).keys() == dict(model.named_parameters()).keys()


def test_adapters_begin_the_same_for_a_seed_and_leave_the_random_numbers_alone() -> None:
    begun = []
    next_number = torch.rand(1, generator=torch.Generator().manual_seed(5))
    for seed in (0, 0, 1):
        model = tiny_encoder()
        torch.manual_seed(5)
        with adapted(model, LORA, seed=seed):
            begun.append({k: v.detach().clone() for k, v in trained_weights(model).items()})
        assert torch.equal(torch.rand(1), next_number)
    assert_equal_weights(begun[0], begun[1])
    assert moved(begun[0], begun[2])


class Killed(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize("caching", [False, True])
@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_training_that_was_cut_off_goes_on_to_the_same_weights_bit_for_bit(
    tmp_path: Path, caching: bool, dropout: float
) -> None:
    settings = changed(epochs=3, gradient_caching=caching, learning_rate=1e-2)
    lora = LORA.model_copy(update={"dropout": dropout})
    whole = train(tiny_encoder(), tmp_path / "whole", settings, lora)

    def kill(name: str, step: int, values: object) -> None:
        if step == 7:
            raise Killed

    model = tiny_encoder()
    with pytest.raises(Killed), events.listening(kill):
        train(model, tmp_path / "cut", settings, lora)
    assert_equal_weights(weights(model), weights(tiny_encoder()))  # the adapters are gone
    resumed = train(model, tmp_path / "cut", settings, lora)
    assert resumed.metrics["steps_resumed"] == 4
    assert_equal_weights(weights(whole.model), weights(resumed.model))
    assert resumed.history.equals(whole.history)


def test_a_checkpoint_holds_the_trained_weights_only(tmp_path: Path) -> None:
    train(tiny_encoder(), tmp_path, SETTINGS)
    (folder, *_) = tmp_path.glob("finetune/*/checkpoint-*")
    assert not (folder / "model.safetensors").exists()
    with safe_open(folder / "trained_weights.safetensors", framework="pt") as file:
        assert all("lora_" in name for name in file.keys())  # noqa: SIM118  # not a mapping


def test_other_adapters_are_another_run(tmp_path: Path) -> None:
    train(tiny_encoder(), tmp_path)
    assert train(tiny_encoder(), tmp_path).metrics["steps_resumed"] > 0
    for other in (None, LORA.model_copy(update={"alpha": 9})):
        assert train(tiny_encoder(), tmp_path, lora=other).metrics["steps_resumed"] == 0


def test_the_best_weights_seen_come_back_with_adapters_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([0.5, 0.7, 0.6, 0.5])  # given: only what is done about them is tested
    monkeypatch.setattr(heldout, "heldout_score", lambda *_, **__: next(scores))
    model = tiny_encoder()
    before = weights(model)
    seen: dict[int, dict[str, torch.Tensor]] = {}

    def keep(name: str, step: int, values: object) -> None:
        seen[step] = {k: v.detach().clone() for k, v in trained_weights(model).items()}

    settings = changed(epochs=8, heldout_rows=4, evaluation_steps=2, patience=2)
    with events.listening(keep):
        result = train(model, tmp_path, settings)
    assert result.metrics["best_step"] == 4
    assert result.metrics["stopped_early"]
    query = "0.model.encoder.layer.0.attention.self.query"
    best = seen[4][f"{query}.lora_B.default.weight"] @ seen[4][f"{query}.lora_A.default.weight"]
    torch.testing.assert_close(
        weights(model)[f"{query}.weight"], before[f"{query}.weight"] + 2 * best
    )


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (("query", "valeu"), r"got \['valeu'\].*"),
        (("uery",), r"such as \['dense', 'key', 'query', 'value'\], got \['uery'\]"),
    ],
)
def test_a_layer_that_is_not_there_is_named_before_any_work(
    tmp_path: Path, targets: tuple[str, ...], message: str
) -> None:
    lora = LORA.model_copy(update={"target_modules": targets})
    with pytest.raises(InputError, match=message):
        train(tiny_encoder(), tmp_path, lora=lora)
    assert not list(tmp_path.iterdir())


def test_without_peft_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "peft" else found(name)
    )
    with pytest.raises(InputError, match=r"pip install 'gecko-kedro\[lora\]'"):
        train(tiny_encoder(), tmp_path)


@pytest.mark.parametrize(
    "wrong", [{"rank": 0}, {"alpha": 0}, {"dropout": 1.0}, {"target_modules": []}, {"r": 4}]
)
def test_settings_out_of_bounds_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        LoraSettings.model_validate(LORA.model_dump() | wrong)
