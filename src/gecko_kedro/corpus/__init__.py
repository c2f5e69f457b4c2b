"""Passages: reading, cleaning, chunking, deduplication, splits and natural pairs."""

from gecko_kedro.corpus.overlap import find_overlaps, remove_overlaps
from gecko_kedro.corpus.pairs import collect_pairs, natural_pairs
from gecko_kedro.corpus.passages import make_passages
from gecko_kedro.corpus.query_log import read_query_log
from gecko_kedro.corpus.readers import read_corpus
from gecko_kedro.corpus.results import (
    DecontaminationResult,
    OverlapResult,
    PairResult,
    PassageResult,
    QueryLogResult,
    ReadResult,
)
from gecko_kedro.corpus.settings import (
    DecontaminateSettings,
    HeldoutSettings,
    OverlapSettings,
    PairSettings,
    PassageSettings,
    PythonDocsSettings,
)
from gecko_kedro.corpus.splits import cap, decontaminate, heldout_groups, split_heldout

__all__ = [
    "DecontaminateSettings",
    "DecontaminationResult",
    "HeldoutSettings",
    "OverlapResult",
    "OverlapSettings",
    "PairResult",
    "PairSettings",
    "PassageResult",
    "PassageSettings",
    "PythonDocsSettings",
    "QueryLogResult",
    "ReadResult",
    "cap",
    "collect_pairs",
    "decontaminate",
    "find_overlaps",
    "heldout_groups",
    "make_passages",
    "natural_pairs",
    "read_corpus",
    "read_query_log",
    "remove_overlaps",
    "split_heldout",
]
