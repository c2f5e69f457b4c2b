"""What a task of the evaluation is, as it is declared, and the words its prompt takes."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from pydantic import Field, ValidationError, model_validator

from gecko_kedro.base.errors import InputError
from gecko_kedro.base.settings import Count, Seed, Settings

TaskType = Literal[
    "Retrieval", "Reranking", "STS", "PairClassification", "Classification", "Clustering",
    "Summarization",
]  # fmt: skip

# The path of the task in gecko_kedro/written, whose texts are the standard library's.
PYTHON_STDLIB = "python-stdlib"


class SelectSettings(Settings):
    """The size of the held-out task."""

    max_passages: Count = 1000
    max_queries: Count = 1000
    seed: Seed = 7


class TaskSettings(Settings):
    """One task: with ``path`` a local one of ``type``, else one that mteb has under ``name``.

    The path ``python-stdlib`` is the queries that this project brings (``corpus.written``).
    A local task that bears the name of one of mteb's, and is of its type, is scored with mteb's own
    settings for it (samples a label, identical ids, ...). ``columns`` maps our column names to
    those of the files. ``prompt`` and ``symmetric`` override the table of prompts.
    """

    name: str
    type: TaskType | None = None
    path: str | None = None
    split: str = "test"
    columns: dict[str, str] = Field(default_factory=dict)
    prompt: str | None = None
    symmetric: bool | None = None

    @model_validator(mode="after")
    def _local_or_registered(self) -> "TaskSettings":
        if (self.path is None) != (self.type is None):
            raise ValueError("a local task needs both path and type, one of mteb's needs neither")
        return self


STDLIB_QUESTIONS = TaskSettings(name="stdlib-questions", type="Retrieval", path=PYTHON_STDLIB)


def tasks_for(tasks: list[Any] | None, *, is_python_docs: bool) -> list[Any]:
    """``tasks``; for None the one that this project brings, where the corpus is of its kind."""
    if tasks is not None:
        return tasks
    return [STDLIB_QUESTIONS.model_dump(exclude_unset=True)] if is_python_docs else []


class TaskPrompt(NamedTuple):
    """The task name in Gecko's template, and whether targets get the query template too."""

    task: str
    symmetric: bool


class TaskPrompts(Settings):
    """Prompts by task, else by type of task: the paper's table 9 as data."""

    by_name: dict[str, TaskPrompt]
    by_type: dict[str, TaskPrompt]

    @classmethod
    def checked(
        cls, data: Mapping[str, Any], overrides: Mapping[str, Any] | None = None
    ) -> "TaskPrompts":
        """``data`` with ``overrides`` (name to ``{task, symmetric}``) on top of its ``by_name``."""
        try:
            by_name = {**data.get("by_name", {}), **(overrides or {})}
            return cls.model_validate({**data, "by_name": by_name})
        except ValidationError as error:
            raise InputError(
                "prompts of the evaluation", expected="{task, symmetric} by name and by type",
                got=str(error), fix="Correct conf/prompts/mteb_tasks.yml or evaluate.prompts.",
            ) from error  # fmt: skip

    def of(self, name: str, task_type: str, settings: TaskSettings | None = None) -> TaskPrompt:
        """The prompt of a task: its own settings, then its name, then its type."""
        found = self.by_name.get(name) or self.by_type.get(task_type) or _FALLBACK
        if settings is None:
            return found
        symmetric = found.symmetric if settings.symmetric is None else settings.symmetric
        return TaskPrompt(settings.prompt or found.task, symmetric)


_FALLBACK = TaskPrompt("search result", False)  # types that the paper does not evaluate
