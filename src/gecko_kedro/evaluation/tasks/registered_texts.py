"""The texts of tasks that mteb loads from the hub."""

import logging
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from gecko_kedro.evaluation.tasks.hub import without_retries
from gecko_kedro.evaluation.tasks.task import Task

logger = logging.getLogger(__name__)
Text = tuple[str, str, str]  # side, what and where, the text


@cache  # several stages ask for them
def loaded_texts(task: Task) -> tuple[Text, ...]:
    """The texts of the splits that ``task`` is scored on; none where it cannot be loaded.

    What is wrong with such a task is the evaluation's to report; here it is named as not checked.
    """
    found = task.to_mteb()
    parts = getattr(found, "tasks", None) or [found]  # a mean of other tasks
    texts: list[Text] = []
    for part in parts:
        try:
            with without_retries():
                part.load_data()
            texts += list(_texts(part))
        # datasets and the hub raise what they like, and other tasks can be checked all the same.
        except Exception as error:
            logger.warning(
                "Training is not checked for texts of %s: its data cannot be loaded (%s: %s)",
                task.name, type(error).__name__, error,
            )  # fmt: skip
    return tuple(texts)


def _texts(task: Any) -> Iterator[Text]:
    for subset in task.hf_subsets:
        data = task.dataset.get(subset, task.dataset)
        for split in task.eval_splits:
            if "relevant_docs" in data[split]:
                yield from _of_retrieval(data[split])
                continue
            for column in data[split].features:
                for row, value in enumerate(data[split][column]):
                    yield from (("query", f"row {row}, {column}", text) for text in _flat(value))


def _of_retrieval(data: Mapping[str, Any]) -> Iterator[Text]:
    for query in data["queries"]:
        yield from (("query", f"query {query['id']}", text) for text in _flat(query["text"]))
    relevant = {
        passage
        for judged in data["relevant_docs"].values()
        for passage, score in judged.items()
        if score > 0
    }
    for passage in data["corpus"]:
        if passage["id"] in relevant:
            yield "passage", f"passage {passage['id']}", passage["text"]


def _flat(value: Any) -> Iterator[str]:
    """The strings in a value, also in lists; labels and numbers are none."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for inner in value:
            yield from _flat(inner)
