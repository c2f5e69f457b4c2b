"""Tasks and benchmarks that mteb knows by name; their data come from the hub."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from gecko_kedro.base.errors import InputError
from gecko_kedro.corpus.schemas import EVALUATION_TEXT_SCHEMA
from gecko_kedro.evaluation.tasks.settings import TaskPrompts, TaskSettings


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
        """Where its data come from; how much that is shows when they are loaded."""
        return "data of the hub"

    def texts(self) -> pl.DataFrame:
        """EVALUATION_TEXT_SCHEMA of what it is scored on; nothing where it cannot be loaded."""
        from gecko_kedro.evaluation.tasks.registered_texts import loaded_texts

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
    return [_registered(task, settings, prompts) for task in found]


def _registered(task: Any, settings: TaskSettings, prompts: TaskPrompts) -> RegisteredTask:
    metadata = task.metadata
    prompt = prompts.of(metadata.name, metadata.type, settings)
    every = sorted(task.hf_subsets) == sorted(metadata.hf_subsets)
    revision = (metadata.dataset or {}).get("revision", "")
    return RegisteredTask(
        metadata.name, metadata.type, *prompt, revision=revision,
        subsets=None if every else tuple(task.hf_subsets), splits=tuple(task.eval_splits),
    )  # fmt: skip
