"""The texts of tasks that mteb loads from the hub."""

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from gecko_kedro.evaluation.mteb_tasks import mteb_task
from gecko_kedro.evaluation.registered import RegisteredTask, unreachable

logger = logging.getLogger(__name__)


def loaded_texts(task: RegisteredTask) -> set[str]:
    """The texts of the splits that ``task`` is scored on; none where it cannot be fetched."""
    found = mteb_task(task)
    parts = getattr(found, "tasks", None) or [found]  # a mean of other tasks
    texts: set[str] = set()
    for part in parts:
        try:
            part.load_data()
        # datasets and the hub raise what they like; only a data set out of reach is passed over.
        except Exception as error:
            if not unreachable(f"{type(error).__name__}: {error}"):
                raise
            logger.warning("No texts of %s: its data cannot be fetched", task.name)
            continue
        texts.update(_texts(part))
    return texts


def _texts(task: Any) -> Iterator[str]:
    for subset in task.hf_subsets:
        data = task.dataset.get(subset, task.dataset)
        for split in task.eval_splits:
            if "relevant_docs" in data[split]:
                yield from _of_retrieval(data[split])
                continue
            for column in data[split].features:
                yield from _flat(data[split][column])


def _of_retrieval(data: Mapping[str, Any]) -> Iterator[str]:
    yield from data["queries"]["text"]
    relevant = {
        passage
        for judged in data["relevant_docs"].values()
        for passage, score in judged.items()
        if score > 0
    }
    for passage in data["corpus"]:
        if passage["id"] in relevant:
            yield passage["text"]


def _flat(values: Any) -> Iterator[str]:
    """The strings in a column, also in lists; labels and numbers are none."""
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            yield from _flat(value)
