"""Gecko's two losses, one file each."""
