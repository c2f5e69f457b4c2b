"""Passages: reading, cleaning, chunking, deduplication and splits."""
