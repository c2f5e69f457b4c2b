"""Exact top-k search and negative sampling: the Python face of csrc."""
