"""Tasks and benchmarks that mteb knows by name; their data come from the hub."""

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import polars as pl

from gecko_kedro.base.errors import InputError
from gecko_kedro.corpus.schemas import EVALUATION_TEXT_SCHEMA
from gecko_kedro.evaluation.tasks.settings import TaskPrompts, TaskSettings

logger = logging.getLogger(__name__)
_SECONDS = 10.0
# What fails when a data set cannot be fetched: no network, HF_HUB_OFFLINE, a gated set.
_UNREACHABLE = (
    "Couldn't reach", "OfflineMode", "Cannot send a request", "offline mode", "ConnectionError",
    "Max retries exceeded", "LocalEntryNotFoundError", "Connection refused", "Name or service",
)  # fmt: skip
Text = tuple[str, str, str]  # side, what and where, the text


@dataclass(frozen=True)
class RegisteredTask:
    """One task of mteb: its name, the subsets and splits that are scored, and its prompt."""

    name: str
    type: str
    task: str
    symmetric: bool
    revision: str
    subsets: tuple[str, ...] | None = None  # None: all
    splits: tuple[str, ...] | None = None

    @cached_property
    def digest(self) -> str:
        """Sixteen hex digits over the revision of its data, its selection and its prompt."""
        what = [self.name, self.revision, self.subsets, self.splits, self.task, self.symmetric]
        return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]

    @property
    def size(self) -> str:
        return "data of the hub"  # how much that is shows when they are loaded

    def texts(self) -> pl.DataFrame:
        """EVALUATION_TEXT_SCHEMA of what it is scored on; nothing where it cannot be loaded."""
        rows = [(self.name, *found) for found in loaded_texts(self) if found[-1].strip()]
        return pl.DataFrame(rows, schema=EVALUATION_TEXT_SCHEMA, orient="row")

    def to_mteb(self) -> Any:
        """mteb's task with these subsets and splits."""
        from gecko_kedro.evaluation.tasks.mteb_tasks import registered_task

        chosen = {"hf_subsets": self.subsets, "eval_splits": self.splits}
        selection = {key: list(names) for key, names in chosen.items() if names is not None}
        return registered_task(self.name, selection)


def registered_tasks(settings: TaskSettings, prompts: TaskPrompts) -> list[RegisteredTask]:
    """The task, or all tasks of the benchmark, that mteb has under ``settings.name``.

    ``InputError`` for a name that it does not know. Nothing is fetched here.
    """
    import mteb

    try:
        found = list(mteb.get_benchmark(settings.name).tasks)
    except KeyError:
        try:
            found = [mteb.get_task(settings.name)]
        except KeyError as error:
            raise InputError(
                "evaluate.tasks", expected="a task or benchmark of mteb, or type and path",
                got=settings.name, fix=str(error.args[0]),
            ) from error  # fmt: skip
    return [
        RegisteredTask(
            known.name, known.type, *prompts.of(known.name, known.type, settings),
            revision=(known.dataset or {}).get("revision", ""),
            subsets=None if sorted(task.hf_subsets) == sorted(known.hf_subsets)
            else tuple(task.hf_subsets),
            splits=tuple(task.eval_splits),
        )
        for task in found for known in (task.metadata,)
    ]  # fmt: skip


def unreachable(error: str) -> bool:
    """Whether a task failed only because its data could not be fetched."""
    return any(sign in error for sign in _UNREACHABLE)


@cache
def hub_answers() -> bool:
    """Whether the hub gives any answer; tried once in a process, without a retry."""
    from huggingface_hub import constants, get_session

    if constants.HF_HUB_OFFLINE:
        return False
    try:
        get_session().head(constants.ENDPOINT, timeout=_SECONDS)
    except Exception as error:  # of whichever HTTP library the hub's client has
        logger.warning("The hub %s cannot be reached: %s", constants.ENDPOINT, error)
        return False
    return True


@contextmanager
def without_retries() -> Iterator[None]:
    """In the block, data of a hub that does not answer come from its cache on this disk, or fail.

    Its client would retry for half a minute for each set.
    """
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or not hub_answers()
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


@cache  # several stages ask for them
def loaded_texts(task: RegisteredTask) -> tuple[Text, ...]:
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
    judged = data["relevant_docs"].values()
    relevant = {passage for one in judged for passage, score in one.items() if score > 0}
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
