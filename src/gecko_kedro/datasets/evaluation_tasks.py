"""The evaluation's tasks, as parameters declare them."""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import yaml
from pydantic import ValidationError

from gecko_kedro.base.digests import Digests, source_identity
from gecko_kedro.base.errors import InputError
from gecko_kedro.datasets._read_only import ReadOnlyDataset
from gecko_kedro.evaluation.tasks.reading import read_tasks
from gecko_kedro.evaluation.tasks.settings import TaskPrompts, TaskSettings
from gecko_kedro.evaluation.tasks.task import ReadTasks

logger = logging.getLogger(__name__)
ROOT_VARIABLE = "GECKO_SHARED_DATA"


class EvaluationTasksDataset(ReadOnlyDataset[ReadTasks]):
    """Loads local tasks and looks up those of mteb.

    ``tasks`` are TaskSettings as plain data; relative paths are below ``root``, by default the
    folder that the environment variable GECKO_SHARED_DATA names, else the working folder.
    ``filepath`` is the YAML file of task prompts and ``overrides`` what replaces some of them.
    ``more`` are the tasks of another list, of which those that are in both are read once. With
    ``optional`` local tasks that are not on this machine are left out with a warning.
    """

    def __init__(
        self,
        *,
        tasks: Sequence[Mapping[str, Any]],
        filepath: str,
        more: Sequence[Mapping[str, Any]] = (),
        overrides: Mapping[str, Any] | None = None,
        root: str | None = None,
        optional: bool = False,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._tasks = [_checked(task) for task in tasks or ()]
        self._more = [task for task in map(_checked, more or ()) if task not in self._tasks]
        self._prompts, self._overrides = filepath, dict(overrides or {})
        self._root = Path(root or os.environ.get(ROOT_VARIABLE) or ".").expanduser()
        self._optional = optional
        self.metadata = metadata

    def load(self) -> ReadTasks:
        data = yaml.safe_load(Path(self._prompts).read_text("utf-8"))
        prompts = TaskPrompts.checked(data, self._overrides)
        own, more = (
            read_tasks(self._wanted(one), prompts, root=self._root)
            for one in (self._tasks, self._more)
        )
        return ReadTasks([*own.tasks, *more.tasks], pl.concat([own.quarantine, more.quarantine]))

    def fingerprint(self, digests: Digests | None = None) -> str:
        """Identity of the declarations, the prompts and all local files."""
        tasks = [*self._tasks, *self._more]
        paths = [str(self._root / task.path) for task in tasks if task.path]
        files = [source_identity(path, (), digests) for path in paths]
        how = [[task.model_dump() for task in tasks], self._overrides, files]
        return source_identity(self._prompts, how, digests)

    def _wanted(self, tasks: list[TaskSettings]) -> list[TaskSettings]:
        there = [task for task in tasks if task.path is None or (self._root / task.path).exists()]
        if not self._optional:
            return tasks
        if missing := [task.name for task in tasks if task not in there]:
            logger.warning("No local copy below %s of %s", self._root, ", ".join(missing))
        return there

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        names = [task.name for task in (*self._tasks, *self._more)]
        return {"tasks": names, "root": str(self._root)}


def _checked(task: Mapping[str, Any]) -> TaskSettings:
    try:
        return TaskSettings.model_validate(dict(task))
    except ValidationError as error:
        raise InputError(
            "evaluation tasks", expected="name, and for a local task type and path",
            got=dict(task), fix="; ".join(f"{e['loc']}: {e['msg']}" for e in error.errors()),
        ) from error  # fmt: skip
