"""A point on the line between the weights of two encoders."""

import copy
from typing import TYPE_CHECKING

from gecko_kedro.errors import InputError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


def interpolate_encoders(
    base: "SentenceTransformer", tuned: "SentenceTransformer", *, tuned_share: float
) -> "SentenceTransformer":
    """A copy of ``tuned`` with the weights (1 - tuned_share) * base + tuned_share * tuned.

    It keeps some of what fine-tuning lost on other data (WiSE-FT, Wortsman et al. 2022, arXiv
    2109.01903). ``tuned_share`` is from 0 to 1. Raises InputError for other architectures.
    """
    before, after = base.state_dict(), tuned.state_dict()
    shapes = [{name: tuple(x.shape) for name, x in state.items()} for state in (before, after)]
    if not 0 <= tuned_share <= 1 or shapes[0] != shapes[1]:
        raise InputError(
            "interpolation of encoders",
            expected="two encoders of one architecture, and a share from 0 to 1",
            got=tuned_share if shapes[0] == shapes[1] else "no equal shapes of weights",
            fix="Interpolate between a base and what was trained from it.",
        )
    merged = copy.deepcopy(tuned)
    weights = {
        name: (1 - tuned_share) * before[name].to(value.device) + tuned_share * value
        if value.is_floating_point()
        else value  # position numbers and the like
        for name, value in after.items()
    }
    merged.load_state_dict(weights)
    return merged
