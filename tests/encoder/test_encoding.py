"""Vectors: order, length, precision and truncation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gecko_kedro.base.errors import InputError
from gecko_kedro.encoder.encoding import encode_texts, truncate_vectors
from tests.support.tiny_encoder import WIDTH, tiny_encoder

MODEL = tiny_encoder()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text(max_size=80), max_size=9), st.integers(1, 10))
def test_vectors_are_those_of_sentence_transformers_in_the_order_of_the_texts(
    texts: list[str], batch_size: int
) -> None:
    vectors = encode_texts(MODEL, texts, batch_size=batch_size)
    assert vectors.dtype == np.float32
    assert vectors.flags.c_contiguous
    assert vectors.shape == (len(texts), WIDTH)
    if texts:
        np.testing.assert_allclose(vectors, MODEL.encode(texts), atol=2e-6)


def test_texts_of_several_windows_come_back_in_their_order() -> None:
    texts = [f"number {i} " + "word " * (i * 7 % 31) for i in range(150)]
    np.testing.assert_allclose(
        encode_texts(MODEL, texts, batch_size=2), MODEL.encode(texts), atol=2e-6
    )


def test_the_text_before_the_pooling_has_no_more_than_seven_columns_of_padding() -> None:
    shapes = []
    model = tiny_encoder()
    model[0].register_forward_pre_hook(
        lambda _, inputs: shapes.append(inputs[0]["attention_mask"].clone())
    )
    encode_texts(model, [f"{'a' * (i % 50)} {i}" for i in range(90)], batch_size=4)
    assert all(int((~mask.bool().any(dim=0)).sum()) < 8 for mask in shapes)


def test_bfloat16_weights_give_vectors_of_length_one_close_to_the_exact_ones() -> None:
    texts = [f"text number {i} " + "more " * i for i in range(30)]
    half = encode_texts(tiny_encoder().bfloat16(), texts, batch_size=7)
    np.testing.assert_allclose(np.linalg.norm(half, axis=1), 1, atol=1e-6)
    assert (half * encode_texts(MODEL, texts, batch_size=7)).sum(axis=1).min() > 0.99


@pytest.mark.parametrize("dimension", [1, 7, 16, WIDTH])
def test_truncation_is_that_of_truncate_dim(dimension: int) -> None:
    texts = ["red fox", "blue whale", "oak"]
    cut = encode_texts(MODEL, texts, batch_size=2, dimension=dimension)
    theirs = MODEL.encode(texts, truncate_dim=dimension, normalize_embeddings=True)
    np.testing.assert_allclose(cut, theirs, atol=1e-6)
    assert encode_texts(MODEL, [], batch_size=2, dimension=dimension).shape == (0, dimension)


def test_truncation_leaves_the_vectors_given_as_they_are() -> None:
    vectors = np.ones((2, 4), dtype=np.float32)
    truncate_vectors(vectors, 4)
    assert (vectors == 1).all()


def test_a_zero_vector_stays_zero() -> None:
    assert not truncate_vectors(np.zeros((1, 4), dtype=np.float32), 2).any()


@pytest.mark.parametrize("dimension", [0, -1, WIDTH + 1])
def test_an_impossible_dimension_is_refused(dimension: int) -> None:
    with pytest.raises(InputError, match=f"from 1 to {WIDTH}"):
        encode_texts(MODEL, ["x"], batch_size=1, dimension=dimension)
