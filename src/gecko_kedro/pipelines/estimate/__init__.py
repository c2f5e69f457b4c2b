"""The estimate pipeline."""
