"""One encoder out of several with the same architecture: means and interpolations of weights."""

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gecko_kedro.base.errors import InputError
from gecko_kedro.encoder.record import add_stage

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


def interpolate_encoders(
    base: "SentenceTransformer", tuned: "SentenceTransformer", *, tuned_share: float
) -> "SentenceTransformer":
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
    merged = _weighted([base, tuned], [1 - tuned_share, tuned_share], like=tuned)
    add_stage(merged, "interpolate", settings={"tuned_share": tuned_share}, data_digests={})
    return merged


def average_encoders(encoders: Sequence["SentenceTransformer"]) -> "SentenceTransformer":
    """A copy of the last encoder with the mean of the weights of all.

    Of checkpoints of one run, or of runs on different mixtures ("model soup", Wortsman et al. 2022,
    arXiv 2203.05482; EmbeddingGemma, arXiv 2509.20354, averages runs without weights). Raises
    InputError for none and for other architectures.
    """
    if not encoders:
        raise InputError("encoders", expected="at least one", got="none", fix="Give some.")
    merged = _weighted(encoders, [1 / len(encoders)] * len(encoders), like=encoders[-1])
    add_stage(merged, "average", settings={"encoders": len(encoders)}, data_digests={})
    return merged


def _weighted(
    encoders: Sequence["SentenceTransformer"],
    shares: Sequence[float],
    *,
    like: "SentenceTransformer",
) -> "SentenceTransformer":
    states = [encoder.state_dict() for encoder in encoders]
    _check_alike(states)
    merged = copy.deepcopy(like)
    weights = {}
    for name, values in like.state_dict().items():
        if not values.is_floating_point():  # position numbers and the like
            weights[name] = values
            continue
        # In float64: the mean of equal weights is then exactly these.
        parts = (
            share * state[name].to(values.device).double()
            for share, state in zip(shares, states, strict=True)
        )
        weights[name] = sum(parts, values.new_zeros((), dtype=values.dtype).double()).to(
            values.dtype
        )
    merged.load_state_dict(weights)
    return merged


def _check_alike(states: Sequence[dict[str, "object"]]) -> None:
    shapes = [{name: tuple(x.shape) for name, x in state.items()} for state in states]  # type: ignore[attr-defined]
    for other in shapes[1:]:
        different = sorted(
            name
            for name in shapes[0].keys() | other.keys()
            if shapes[0].get(name) != other.get(name)
        )
        if different:
            raise InputError(
                "encoders",
                expected="encoders of one architecture and width",
                got=f"{len(different)} weights of other shapes, the first {different[0]}",
                fix="Merge only an encoder with those trained from it.",
            )
