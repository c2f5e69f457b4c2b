"""Exact top-k search and negative sampling: the Python face of csrc."""

from gecko_kedro.retrieval.exclusions import Exclusions
from gecko_kedro.retrieval.index import Index, SearchCancelled, SearchResult
from gecko_kedro.retrieval.levels import simd_level
from gecko_kedro.retrieval.sampling import sample_negatives

__all__ = [
    "Exclusions",
    "Index",
    "SearchCancelled",
    "SearchResult",
    "sample_negatives",
    "simd_level",
]
