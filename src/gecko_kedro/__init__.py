"""gecko_kedro: turn a corpus and an LLM into a compact text-embedding model (Lee et al. 2024).

As a library (README.md); a room is imported when it is first named:

corpus      documents to passages; duplicates, splits, overlap with an evaluation, natural pairs
teacher     the LLM behind one protocol, and the store of its replies
fret        queries for passages, relevance judgements, the choice of positive and hard negative
retrieval   exact search on a CPU or GPU, hard negatives, an approximate and a lexical index
encoder     the embedding model: input format, loading, encoding, saving, merging
training    unified examples, mixtures, losses, the trainer
evaluation  MTEB and own tasks, paired comparisons with intervals, the report
estimation  what a run will cost, from what was measured in small
engine      where work is done: in this process or on a Ray cluster
base        what all of them stand on: errors, files, digests, shards, progress, memory, events

As a Kedro project: pipelines, datasets, hooks, params.
"""

from importlib import import_module
from types import ModuleType

__version__ = "0.1.0"
__all__ = [
    "base", "corpus", "encoder", "engine", "estimation", "evaluation", "fret", "retrieval",
    "teacher", "training",
]  # fmt: skip


def __getattr__(name: str) -> ModuleType:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f"{__name__}.{name}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
