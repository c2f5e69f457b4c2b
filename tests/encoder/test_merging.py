"""Weights between two encoders, and the mean of several."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from gecko_kedro.base.errors import InputError
from gecko_kedro.encoder.encoding import encode_texts
from gecko_kedro.encoder.merging import average_encoders, interpolate_encoders
from gecko_kedro.encoder.record import stages_of
from gecko_kedro.encoder.saving import save_encoder
from tests.support.tiny_encoder import tiny_encoder


def assert_weights(merged: SentenceTransformer, expected: dict[str, torch.Tensor]) -> None:
    found = merged.state_dict()
    assert found.keys() == expected.keys()
    for name in found:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_an_interpolation_has_the_weights_in_between(share: float) -> None:
    base, tuned = tiny_encoder(seed=0), tiny_encoder(seed=1)
    before = tuned.state_dict()["0.model.embeddings.word_embeddings.weight"].clone()
    one, two = base.state_dict(), tuned.state_dict()
    merged = interpolate_encoders(base, tuned, tuned_share=share)
    assert_weights(merged, {name: torch.lerp(one[name], two[name], share) for name in one})
    assert torch.equal(tuned.state_dict()["0.model.embeddings.word_embeddings.weight"], before)
    assert stages_of(merged)[-1]["settings"] == {"tuned_share": share}


def test_the_mean_of_one_encoder_is_itself_bit_for_bit() -> None:
    encoder = tiny_encoder(seed=3)
    merged = average_encoders([encoder, encoder, encoder])
    for name, weights in encoder.state_dict().items():
        assert torch.equal(merged.state_dict()[name], weights)


def test_the_mean_of_several_is_their_mean_and_can_be_saved(tmp_path: Path) -> None:
    encoders = [tiny_encoder(seed=seed) for seed in range(3)]
    states = [encoder.state_dict() for encoder in encoders]
    merged = average_encoders(encoders)
    assert_weights(merged, {name: sum(s[name] for s in states) / 3 for name in states[0]})
    save_encoder(merged, tmp_path / "merged")
    plain = SentenceTransformer(str(tmp_path / "merged"), device="cpu")
    np.testing.assert_allclose(
        plain.encode(["some text"]), encode_texts(merged, ["some text"], batch_size=1), atol=1e-6
    )


def test_what_cannot_be_merged_is_refused() -> None:
    other = tiny_encoder()
    other.append(torch.nn.Linear(4, 4))
    with pytest.raises(InputError, match="weights of other shapes"):
        average_encoders([tiny_encoder(), other])
    with pytest.raises(InputError, match="at least one"):
        average_encoders([])
    with pytest.raises(InputError, match="from 0"):
        interpolate_encoders(tiny_encoder(), tiny_encoder(), tuned_share=1.5)
