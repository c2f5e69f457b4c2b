"""The mine pipeline."""
