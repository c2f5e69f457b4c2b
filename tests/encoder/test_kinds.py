"""Bases of all kinds: those that can be trained are, the others are refused by kind and reason."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import (
    BoW,
    Normalize,
    Pooling,
    StaticEmbedding,
    Transformer,
)
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2Model,
    PreTrainedTokenizerFast,
)

from gecko_kedro.base.errors import InputError
from gecko_kedro.encoder.encoding import encode_texts
from gecko_kedro.encoder.formatting import GECKO
from gecko_kedro.encoder.loading import load_encoder
from gecko_kedro.encoder.saving import save_encoder
from gecko_kedro.training import train_encoder
from tests.support.small_training import changed, examples
from tests.support.tiny_encoder import WIDTH, save_tiny_transformer, tiny_encoder
from tests.support.tiny_llm import save_tiny_llm, tiny_tokenizer


def run(folder: Path, *, model: SentenceTransformer, **values: Any) -> SentenceTransformer:
    return train_encoder(
        model, examples(24), settings=changed(max_steps=4, **values), loss="gecko",
        name="kinds", checkpoints=folder, templates=GECKO,
    ).model  # fmt: skip


TEXTS = ["one", "two words", "a longer text than the others", ""]


def gpt2(folder: Path) -> Path:
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=512, n_positions=64, n_embd=32, n_layer=2, n_head=4)
    GPT2Model(config).save_pretrained(folder)
    tokenizer = tiny_tokenizer()
    tokenizer.model_max_length = 64
    tokenizer.save_pretrained(folder)
    return folder


def llama(folder: Path) -> Path:
    return save_tiny_llm(folder, "llama", positions=64)


@pytest.mark.parametrize("make", [gpt2, llama])
def test_a_decoder_without_a_padding_token_pads_with_its_end_of_text(
    tmp_path: Path, make: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        model = load_encoder(str(make(tmp_path / "base")), device="cpu", for_training=True)
    assert "pads with </s>" in caplog.text
    together = encode_texts(model, TEXTS, batch_size=4)
    alone = np.concatenate([encode_texts(model, [text], batch_size=1) for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    save_encoder(model, tmp_path / "saved")
    plain = SentenceTransformer(str(tmp_path / "saved"), device="cpu")
    np.testing.assert_allclose(plain.encode(TEXTS), together, atol=1e-5)


@pytest.mark.parametrize("make", [gpt2, llama])
def test_a_decoder_without_a_padding_token_is_trained(tmp_path: Path, make: Any) -> None:
    model = load_encoder(
        str(make(tmp_path / "base")), device="cpu", for_training=True, max_seq_length=32
    )
    before = encode_texts(model, TEXTS[:2], batch_size=2)
    trained = run(tmp_path / "checkpoints", model=model)
    assert not np.allclose(before, encode_texts(trained, TEXTS[:2], batch_size=2))


def static(folder: Path, **kwargs: Any) -> Path:
    torch.manual_seed(0)
    model = SentenceTransformer(
        modules=[StaticEmbedding(tiny_tokenizer(), embedding_dim=WIDTH, **kwargs)], device="cpu"
    )
    model.save(str(folder))
    return folder


@pytest.mark.parametrize("caching", [False, True])
def test_static_embeddings_are_trained_and_saved_as_such(tmp_path: Path, caching: bool) -> None:
    model = load_encoder(
        str(static(tmp_path / "base")), device="cpu", for_training=True, max_seq_length=16
    )
    before = encode_texts(model, TEXTS[:3], batch_size=2)
    trained = run(
        tmp_path / "checkpoints", model=model, gradient_caching=caching, learning_rate=1e-2
    )
    after = encode_texts(trained, TEXTS[:3], batch_size=2)
    assert not np.allclose(before, after)
    np.testing.assert_allclose(np.linalg.norm(after, axis=1), 1, atol=1e-5)
    save_encoder(trained, tmp_path / "saved")
    plain = SentenceTransformer(str(tmp_path / "saved"), device="cpu")
    assert isinstance(plain[0], StaticEmbedding)
    np.testing.assert_allclose(plain.encode(TEXTS[:3]), after, atol=1e-5)


def test_static_embeddings_read_no_more_than_they_are_told_to(tmp_path: Path) -> None:
    folder = str(static(tmp_path / "base"))
    short = load_encoder(folder, device="cpu", max_seq_length=4)
    words = "what makes dough swell before it is baked"
    cut = short[0].tokenizer.encode(words).ids
    assert len(cut) == 4
    whole = load_encoder(folder, device="cpu")
    assert len(whole[0].tokenizer.encode(words).ids) > 4


def test_a_multi_vector_model_is_refused(tmp_path: Path) -> None:
    transformer = tiny_encoder()[0]
    SentenceTransformer(modules=[transformer, Normalize()], device="cpu").save(str(tmp_path / "m"))
    with pytest.raises(InputError, match="starts with Transformer: it gives a vector for each tok"):
        load_encoder(str(tmp_path / "m"), device="cpu")


def test_bags_of_words_are_refused_for_training(tmp_path: Path) -> None:
    SentenceTransformer(modules=[BoW(["one", "two"])], device="cpu").save(str(tmp_path / "bow"))
    (tmp_path / "bow" / "model.safetensors").touch()
    with pytest.raises(InputError, match="starts with BoW: it counts words"):
        load_encoder(str(tmp_path / "bow"), device="cpu", for_training=True)


def test_an_asymmetric_model_is_refused_for_training(tmp_path: Path) -> None:
    from sentence_transformers.base.modules import Router

    folder = str(save_tiny_transformer(tmp_path / "plain"))
    sides = [[Transformer(folder), Pooling(WIDTH, pooling_mode="mean")] for _ in range(2)]
    router = Router.for_query_document(query_modules=sides[0], document_modules=sides[1])
    SentenceTransformer(modules=[router], device="cpu").save(str(tmp_path / "router"))
    with pytest.raises(InputError, match=r"starts with Router: queries and passages have encoders"):
        load_encoder(str(tmp_path / "router"), device="cpu", for_training=True)


def test_a_cross_encoder_lends_its_transformer_and_it_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = save_tiny_transformer(tmp_path / "cross")
    BertForSequenceClassification(BertConfig.from_pretrained(folder)).save_pretrained(folder)
    model = load_encoder(str(folder), device="cpu", for_training=True)
    assert "BertForSequenceClassification is a classifier or cross-encoder" in caplog.text
    assert isinstance(model[1], Pooling)


def test_a_tokenizer_without_any_special_token_is_refused(tmp_path: Path) -> None:
    folder = save_tiny_llm(tmp_path / "bare")
    bare = PreTrainedTokenizerFast(tokenizer_object=tiny_tokenizer()._tokenizer)
    bare.save_pretrained(folder)
    with pytest.raises(InputError, match=r"special token to pad with.*tokenizer\.pad_token"):
        load_encoder(str(folder), device="cpu")
