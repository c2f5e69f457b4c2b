import pytest
import torch

from gecko_kedro.encoder.interpolation import interpolate_encoders
from gecko_kedro.errors import InputError
from tests.tiny_encoder import tiny_encoder


def test_the_ends_are_the_two_encoders_and_the_middle_is_their_mean() -> None:
    base, tuned = tiny_encoder(seed=1), tiny_encoder(seed=2)
    before = {name: value.clone() for name, value in tuned.state_dict().items()}
    points = {
        share: interpolate_encoders(base, tuned, tuned_share=share).state_dict()
        for share in (0, 0.5, 1)
    }
    for name, value in tuned.state_dict().items():
        assert torch.equal(value, before[name])  # nothing is changed in place
        if value.is_floating_point():
            other = base.state_dict()[name]
            assert torch.equal(points[0][name], other)
            assert torch.equal(points[1][name], value)
            assert torch.allclose(points[0.5][name], (value + other) / 2)


def test_other_architectures_and_shares_are_refused() -> None:
    tuned = tiny_encoder()
    with pytest.raises(InputError, match="a share from 0 to 1"):
        interpolate_encoders(tuned, tuned, tuned_share=1.5)
    smaller = tiny_encoder()
    del smaller[0].auto_model.encoder.layer[1]
    with pytest.raises(InputError, match="one architecture"):
        interpolate_encoders(smaller, tuned, tuned_share=0.5)
