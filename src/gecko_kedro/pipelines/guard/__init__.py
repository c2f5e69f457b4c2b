"""The guard pipeline."""
