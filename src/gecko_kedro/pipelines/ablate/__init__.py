"""The ablate pipeline."""
