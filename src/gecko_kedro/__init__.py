"""gecko_kedro: turn a corpus and an LLM into a compact text-embedding model (Lee et al. 2024)."""

__version__ = "0.1.0"
