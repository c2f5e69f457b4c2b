"""One encoder out of several with the same architecture: means and interpolations of weights."""

import copy
from collections.abc import Sequence
from typing import Any

from gecko_kedro.base.errors import InputError
from gecko_kedro.encoder.model import Encoder
from gecko_kedro.encoder.record import add_stage


def interpolate_encoders(base: Encoder, tuned: Encoder, *, tuned_share: float) -> Encoder:
    """A copy of ``tuned`` with the weights (1 - tuned_share) * base + tuned_share * tuned.

    Keeps some of what fine-tuning lost on other data (WiSE-FT, Wortsman et al. 2022, arXiv
    2109.01903). ``tuned_share`` is from 0 to 1. Raises InputError for other architectures.
    """
    if not 0 <= tuned_share <= 1:
        raise InputError(
            "tuned_share",
            expected="a number from 0 (base alone) to 1 (tuned alone)",
            got=tuned_share,
            fix="Correct it.",
        )
    shares = [1 - tuned_share, tuned_share]
    return _weighted([base, tuned], shares, "interpolate", {"tuned_share": tuned_share})


def average_encoders(encoders: Sequence[Encoder]) -> Encoder:
    """A copy of the last encoder with the mean of the weights of all.

    Of checkpoints of one run, or of runs on different mixtures ("model soup", Wortsman et al. 2022,
    arXiv 2203.05482; EmbeddingGemma, arXiv 2509.20354, averages runs without weights). Raises
    InputError for none and for other architectures.
    """
    if not encoders:
        raise InputError("encoders", expected="at least one", got="none", fix="Give some.")
    count = len(encoders)
    return _weighted(encoders, [1 / count] * count, "average", {"encoders": count})


def _weighted(
    encoders: Sequence[Encoder], shares: Sequence[float], stage: str, settings: dict[str, Any]
) -> Encoder:
    """A copy of the last encoder with the sum of the weights of all times their shares."""
    import torch

    states = [encoder.state_dict() for encoder in encoders]
    shapes = [{(name, *x.shape) for name, x in state.items()} for state in states]
    odd = set[Any]().union(*shapes) - shapes[0].intersection(*shapes)
    if different := sorted({name for name, *_ in odd}):
        raise InputError(
            "encoders",
            expected="encoders of one architecture and width",
            got=f"{len(different)} weights of other shapes, the first {different[0]}",
            fix="Merge only an encoder with those trained from it.",
        )
    weights = dict(states[-1])
    for name, values in weights.items():
        if not values.is_floating_point():  # position numbers and the like
            continue
        total = values.new_zeros((), dtype=torch.float64)
        for share, state in zip(shares, states, strict=True):
            # In float64: the mean of equal weights is then exactly these.
            total = total + share * state[name].to(values.device).double()
        weights[name] = total.to(values.dtype)
    merged = copy.deepcopy(encoders[-1])
    merged.load_state_dict(weights)
    add_stage(merged, stage, settings=settings, data_digests={})
    return merged
