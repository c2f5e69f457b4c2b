"""Unified examples, mixtures, losses and the trainer."""
