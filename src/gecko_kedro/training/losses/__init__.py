"""The losses, one file each. ``GeckoLoss`` drops into any sentence-transformers trainer.

``batch.BatchLoss`` is what the trainer of this project calls.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gecko_kedro.training.losses.module import GeckoLoss

__all__ = ["GeckoLoss"]


def __getattr__(name: str) -> Any:
    """``GeckoLoss``, imported with sentence-transformers when it is asked for."""
    if name != "GeckoLoss":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from gecko_kedro.training.losses.module import GeckoLoss

    return GeckoLoss
