"""Scores of encoders and baselines on tasks, through mteb."""
