"""What every route's search gives, and how it is watched."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gecko_kedro.base.errors import InputError

ReportProgress = Callable[[float], bool | None]


@dataclass(frozen=True)
class SearchResult:
    """The best ``k`` passages of each query, best first; padded with -inf and -1.

    scores: (q, k) float32; ids: (q, k) int64, row numbers of the index. recall: share of the exact
    best that the route finds: 1 for an exact one, measured on a sample by an approximate one, None
    where it was not measured.
    """

    scores: NDArray[np.float32]
    ids: NDArray[np.int64]
    recall: float | None = None


class SearchCancelled(RuntimeError):
    """The progress callback of a search returned False."""


def cancellable(progress: ReportProgress) -> Callable[[float], None]:
    """``progress`` as a function that raises SearchCancelled instead of returning False."""

    def poll(share: float) -> None:
        if progress(share) is False:
            raise SearchCancelled(f"cancelled by the progress callback at {share:.0%}")

    return poll


def check_k(k: int, where: str) -> None:
    """Raise InputError where fewer than no passages are asked for."""
    if k < 0:
        raise InputError(where, expected="k of at least 0", got=k, fix="Ask for 0 or more.")
