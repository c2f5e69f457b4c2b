"""Tasks: reading, checking and keeping what a model is scored on."""
