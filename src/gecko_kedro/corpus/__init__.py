"""Passages: reading, cleaning, chunking, deduplication, splits and natural pairs."""

from gecko_kedro.corpus.overlap import remove_overlaps
from gecko_kedro.corpus.pairs import collect_pairs
from gecko_kedro.corpus.passages import make_passages
from gecko_kedro.corpus.python_docs import harvest
from gecko_kedro.corpus.quarantine import Checked
from gecko_kedro.corpus.readers import read_corpus, read_query_log
from gecko_kedro.corpus.settings import (
    DecontaminateSettings,
    HeldoutSettings,
    OverlapSettings,
    PairSettings,
    PassageSettings,
    PythonDocsSettings,
)
from gecko_kedro.corpus.splits import cap, heldout_groups, split_heldout
from gecko_kedro.corpus.written import adaptation_queries

__all__ = [
    "Checked",
    "DecontaminateSettings",
    "HeldoutSettings",
    "OverlapSettings",
    "PairSettings",
    "PassageSettings",
    "PythonDocsSettings",
    "adaptation_queries",
    "cap",
    "collect_pairs",
    "harvest",
    "heldout_groups",
    "make_passages",
    "read_corpus",
    "read_query_log",
    "remove_overlaps",
    "split_heldout",
]
