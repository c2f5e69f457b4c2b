"""The parity pipeline."""
