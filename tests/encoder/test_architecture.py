"""Decoders as encoders, and another width."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize
from transformers import LlamaConfig, LlamaModel

from gecko_kedro.encoder.encoding import encode_texts
from gecko_kedro.encoder.loading import load_encoder
from gecko_kedro.encoder.saving import save_encoder
from tests.support.tiny_encoder import WIDTH, save_tiny_transformer

TEXTS = ["abc", "abd", "a much longer text than those"]


@pytest.fixture
def decoder(tmp_path: Path) -> Path:
    """A random Llama of two layers beside a tokenizer."""
    folder = save_tiny_transformer(tmp_path / "decoder")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=200, hidden_size=WIDTH, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=64,
    )  # fmt: skip
    LlamaModel(config).save_pretrained(folder)
    return folder


def second_tokens(model: SentenceTransformer, texts: list[str]) -> torch.Tensor:
    with torch.inference_mode():
        return model[0](model.preprocess(texts))["token_embeddings"][:2, 1]


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("texts", [TEXTS[:2], TEXTS], ids=["no padding", "padding"])
def test_a_decoder_sees_both_ways_only_if_asked_and_after_loading_too(
    decoder: Path, tmp_path: Path, attention: str, texts: list[str]
) -> None:
    causal = load_encoder(str(decoder), device="cpu", dtype="float32", attention=attention)
    first, second = second_tokens(causal, texts)
    torch.testing.assert_close(first, second)
    both = load_encoder(
        str(decoder), device="cpu", dtype="float32", attention=attention, bidirectional=True
    )
    first, second = second_tokens(both, texts)
    assert (first - second).abs().max() > 0.01
    save_encoder(both, tmp_path / "saved")
    plain = SentenceTransformer(str(tmp_path / "saved"), device="cpu")
    np.testing.assert_allclose(
        plain.encode(texts), encode_texts(both, texts, batch_size=3), atol=1e-6
    )


def test_a_decoder_is_pooled_over_all_tokens(decoder: Path) -> None:
    model = load_encoder(str(decoder), device="cpu", dtype="float32")
    with torch.inference_mode():
        tokens = model[0](model.preprocess(TEXTS[:1]))["token_embeddings"][0]
    mean = tokens.mean(dim=0)
    np.testing.assert_allclose(
        encode_texts(model, TEXTS[:1], batch_size=1)[0], mean / mean.norm(), atol=1e-6
    )


@pytest.mark.parametrize("width", [8, WIDTH, 48])
def test_a_projection_gives_the_width_and_is_saved_with_the_model(
    tmp_path: Path, width: int
) -> None:
    folder = str(save_tiny_transformer(tmp_path / "plain"))
    model = load_encoder(folder, device="cpu", dtype="float32", width=width)
    assert model.get_embedding_dimension() == width
    assert isinstance(model[-1], Normalize)
    assert len(model) == (3 if width == WIDTH else 4)
    vectors = encode_texts(model, TEXTS, batch_size=2)
    assert vectors.shape == (3, width)
    again = load_encoder(folder, device="cpu", dtype="float32", width=width)
    np.testing.assert_array_equal(encode_texts(again, TEXTS, batch_size=2), vectors)
    save_encoder(model, tmp_path / "saved")
    saved = load_encoder(str(tmp_path / "saved"), device="cpu", dtype="float32", width=width)
    assert len(saved) == len(model)
    np.testing.assert_allclose(encode_texts(saved, TEXTS, batch_size=2), vectors, atol=1e-6)


def test_a_wider_projection_keeps_angles(tmp_path: Path) -> None:
    folder = str(save_tiny_transformer(tmp_path / "plain"))
    wide = load_encoder(folder, device="cpu", dtype="float32", width=2 * WIDTH)
    plain = load_encoder(folder, device="cpu", dtype="float32")
    projected, own = (encode_texts(model, TEXTS, batch_size=3) for model in (wide, plain))
    np.testing.assert_allclose(projected @ projected.T, own @ own.T, atol=1e-5)


def test_texts_padded_on_the_left_come_back_in_their_order(decoder: Path) -> None:
    model = load_encoder(str(decoder), device="cpu", dtype="float32")
    model.tokenizer.padding_side = "left"
    texts = [f"number {i} " + "word " * (i * 7 % 9) for i in range(11)]
    one_by_one = np.concatenate([encode_texts(model, [text], batch_size=1) for text in texts])
    np.testing.assert_allclose(encode_texts(model, texts, batch_size=3), one_by_one, atol=1e-5)
