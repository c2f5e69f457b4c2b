"""The losses, one file each. ``GeckoLoss`` drops into any sentence-transformers trainer.

``batch.BatchLoss`` is what the trainer of this project calls.
"""

from gecko_kedro.training.losses.module import GeckoLoss

__all__ = ["GeckoLoss"]
