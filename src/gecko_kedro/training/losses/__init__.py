"""The losses, one file each; ``batch.BatchLoss`` is what a trainer calls."""
