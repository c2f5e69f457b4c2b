"""Which texts training must not see: queries and positives of everything that is evaluated."""

from collections.abc import Iterable

import polars as pl

from gecko_kedro.evaluation.registered import RegisteredTask
from gecko_kedro.evaluation.rows import RowTask
from gecko_kedro.evaluation.tasks import RetrievalData

Task = RetrievalData | RowTask | RegisteredTask
_PAIR_TYPES = frozenset({"STS", "PairClassification"})


def evaluation_texts(tasks: Iterable[Task]) -> list[str]:
    """Every distinct query and positive of the tasks, sorted.

    Of retrieval and reranking the queries and their relevant passages, of pairs both sides, of
    classification the texts that are tested on, of clustering all texts, of summarization texts
    and summaries. Tasks of mteb are loaded from the hub; one that cannot be gives nothing, as it
    gives no score either.
    """
    found: set[str] = set()
    for task in tasks:
        if isinstance(task, RetrievalData):
            found.update(task.queries["text"])
            relevant = task.qrels.filter(pl.col("score") > 0)["passage_id"].unique()
            found.update(task.corpus.filter(pl.col("id").is_in(relevant.implode()))["text"])
        elif isinstance(task, RowTask):
            found.update(_of_rows(task))
        else:
            found.update(_of_registered(task))
    return sorted(text for text in found if text.strip())


def _of_rows(task: RowTask) -> set[str]:
    rows = task.rows
    if task.type in _PAIR_TYPES:
        return {*rows["sentence1"], *rows["sentence2"]}
    if task.type == "Classification":
        rows = rows.filter(split="test")
    texts = set(rows["text"])
    if task.type == "Summarization":
        texts.update(*(rows[side].explode() for side in ("human_summaries", "machine_summaries")))
    return texts


def _of_registered(task: RegisteredTask) -> set[str]:
    from gecko_kedro.evaluation.registered_texts import loaded_texts

    return loaded_texts(task)
