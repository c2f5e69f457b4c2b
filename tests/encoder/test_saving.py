"""A saved encoder is whole, plain and says how it was made."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from gecko_kedro.base.errors import InputError
from gecko_kedro.encoder.encoding import encode_texts
from gecko_kedro.encoder.formatting import prompts_by_name, render_passage, render_query
from gecko_kedro.encoder.loading import load_encoder
from gecko_kedro.encoder.record import add_stage, stages_of
from gecko_kedro.encoder.saving import export_encoder, save_encoder
from tests.support.tiny_encoder import tiny_encoder

TEXTS = ["how are ties broken", "a | b", "x"]
PROMPTS = prompts_by_name(["question answering"], "search result")


def test_an_exported_encoder_is_the_same_with_another_card(tmp_path: Path) -> None:
    save_encoder(tiny_encoder(), tmp_path / "model", prompts=PROMPTS)
    for card in ("First.", "Second."):
        export_encoder(tmp_path / "model", tmp_path / "new/exported", card=card)
    names = {path.relative_to(tmp_path / "model") for path in (tmp_path / "model").rglob("*")}
    exported = tmp_path / "new/exported"
    assert names == {path.relative_to(exported) for path in exported.rglob("*")}
    assert (exported / "README.md").read_text("utf-8") == "Second."
    assert [path.name for path in exported.parent.iterdir()] == ["exported"]
    for name in names:
        if (exported / name).is_file() and name.name != "README.md":
            assert (exported / name).read_bytes() == (tmp_path / "model" / name).read_bytes()


def test_plain_sentence_transformers_gives_the_same_vectors_by_prompt_name(tmp_path: Path) -> None:
    model = tiny_encoder()
    save_encoder(model, tmp_path / "model", prompts=PROMPTS)
    plain = SentenceTransformer(str(tmp_path / "model"), device="cpu")
    rendered = {
        "query": [render_query("search result", text) for text in TEXTS],
        "question answering": [render_query("question answering", text) for text in TEXTS],
        "document": [render_passage(None, text) for text in TEXTS],
    }
    for prompt_name, texts in rendered.items():
        np.testing.assert_allclose(
            plain.encode(TEXTS, prompt_name=prompt_name),
            encode_texts(model, texts, batch_size=2),
            atol=1e-6,
        )
    np.testing.assert_array_equal(plain.encode_query(TEXTS), plain.encode(rendered["query"]))


def test_stages_are_kept_over_saving_and_loading(tmp_path: Path) -> None:
    model = tiny_encoder()
    add_stage(model, "pretrain", settings={"epochs": 1}, data_digests={"pairs": "ab"})
    save_encoder(model, tmp_path / "model")
    loaded = load_encoder(str(tmp_path / "model"), device="cpu")
    add_stage(loaded, "finetune", settings={}, data_digests={}, facts={"steps": 3})
    save_encoder(loaded, tmp_path / "model")
    record = json.loads((tmp_path / "model" / "gecko.json").read_text())
    assert [stage["name"] for stage in record["stages"]] == ["pretrain", "finetune"]
    assert record["stages"] == stages_of(loaded)
    card = (tmp_path / "model" / "README.md").read_text()
    assert "- **finetune**: steps 3" in card


def test_the_card_says_how_to_use_the_model_and_can_be_given(tmp_path: Path) -> None:
    model = tiny_encoder()
    add_stage(model, "finetune", settings={"loss": {"matryoshka_dims": [16, 8]}}, data_digests={})
    save_encoder(model, tmp_path / "model", prompts=PROMPTS)
    card = (tmp_path / "model" / "README.md").read_text()
    assert "32 dimensions, at most 64 tokens" in card
    assert "16, 8 dimensions" in card
    assert r"| query | `task: search result \| query: ` |" in card


def test_a_model_already_there_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "model"
    save_encoder(tiny_encoder(seed=0), target)
    (target / "left_over.txt").write_text("old")
    second = tiny_encoder(seed=1)
    save_encoder(second, target)
    assert not (target / "left_over.txt").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    np.testing.assert_allclose(
        encode_texts(load_encoder(str(target), device="cpu", dtype="float32"), ["x"], batch_size=1),
        encode_texts(second, ["x"], batch_size=1),
        atol=1e-6,
    )


def test_a_failed_save_leaves_the_old_model_and_no_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "model"
    save_encoder(tiny_encoder(), target)
    before = {path: path.read_bytes() for path in target.rglob("*") if path.is_file()}

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left on device"):
        save_encoder(tiny_encoder(seed=1), target)
    assert {path: path.read_bytes() for path in target.rglob("*") if path.is_file()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_place_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"file/model \(.* free\): expected a folder"):
        save_encoder(tiny_encoder(), tmp_path / "file" / "model")
