"""Exact top-k search and negative sampling, the Python face of csrc, and the other routes."""

from gecko_kedro.retrieval.approximate import ApproximateIndex
from gecko_kedro.retrieval.exact import SlicedIndex, open_exact
from gecko_kedro.retrieval.exclusions import Exclusions
from gecko_kedro.retrieval.index import Index
from gecko_kedro.retrieval.levels import simd_level
from gecko_kedro.retrieval.lexical import LexicalIndex
from gecko_kedro.retrieval.mining import MinedNegatives, mine_negatives
from gecko_kedro.retrieval.popularity import by_likelihood, popularity, score_less_popularity
from gecko_kedro.retrieval.result import SearchCancelled, SearchResult, fuse_results, merge_results
from gecko_kedro.retrieval.sampling import sample_negatives
from gecko_kedro.retrieval.settings import (
    EmbedSettings,
    PopularitySettings,
    RouteSettings,
    SearchSettings,
)

__all__ = [
    "ApproximateIndex", "EmbedSettings", "Exclusions", "Index", "LexicalIndex", "MinedNegatives",
    "PopularitySettings", "RouteSettings", "SearchCancelled", "SearchResult", "SearchSettings",
    "SlicedIndex", "by_likelihood", "fuse_results", "merge_results", "mine_negatives", "open_exact",
    "popularity", "sample_negatives", "score_less_popularity", "simd_level",
]  # fmt: skip
