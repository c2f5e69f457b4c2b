"""Tasks and benchmarks that mteb knows by name; their data come from the hub."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from gecko_kedro.base.errors import InputError
from gecko_kedro.evaluation.tasks.settings import TaskPrompts, TaskSettings

# What fails when a data set cannot be fetched: no network, HF_HUB_OFFLINE, a gated set.
_UNREACHABLE = (
    "Couldn't reach", "OfflineMode", "Cannot send a request", "offline mode", "ConnectionError",
    "Max retries exceeded", "LocalEntryNotFoundError", "Connection refused", "Name or service",
)  # fmt: skip


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

    def selection(self) -> dict[str, Any]:
        """Its subsets and splits as ``mteb.get_task`` takes them."""
        chosen: dict[str, Any] = {}
        if self.subsets is not None:
            chosen["hf_subsets"] = list(self.subsets)
        if self.splits is not None:
            chosen["eval_splits"] = list(self.splits)
        return chosen


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


def unreachable(error: str) -> bool:
    """Whether a task failed only because its data could not be fetched."""
    return any(sign in error for sign in _UNREACHABLE)


def _registered(task: Any, settings: TaskSettings, prompts: TaskPrompts) -> RegisteredTask:
    metadata = task.metadata
    prompt = prompts.of(metadata.name, metadata.type, settings)
    every = sorted(task.hf_subsets) == sorted(metadata.hf_subsets)
    revision = (metadata.dataset or {}).get("revision", "")
    return RegisteredTask(
        metadata.name, metadata.type, *prompt, revision=revision,
        subsets=None if every else tuple(task.hf_subsets), splits=tuple(task.eval_splits),
    )  # fmt: skip
