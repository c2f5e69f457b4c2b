"""From the declarations of tasks to tasks that can be scored."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from gecko_kedro.base.errors import InputError, Words
from gecko_kedro.corpus.schemas import QUARANTINE_SCHEMA
from gecko_kedro.evaluation.tasks.pair_files import read_pairs, read_reranking
from gecko_kedro.evaluation.tasks.registered import RegisteredTask, registered_tasks
from gecko_kedro.evaluation.tasks.retrieval import CheckedData, RetrievalData
from gecko_kedro.evaluation.tasks.retrieval_files import read_retrieval_data
from gecko_kedro.evaluation.tasks.row_files import read_row_task
from gecko_kedro.evaluation.tasks.rows import CheckedRows, RowTask
from gecko_kedro.evaluation.tasks.settings import TaskPrompts, TaskSettings


@dataclass(frozen=True)
class ReadTasks:
    """Tasks by kind, each in the order of its declaration, and the rows that were set aside."""

    retrieval: list[RetrievalData]  # reranking too
    rows: list[RowTask]
    registered: list[RegisteredTask]
    quarantine: pl.DataFrame  # QUARANTINE_SCHEMA

    def all(self) -> list[RetrievalData | RowTask | RegisteredTask]:
        """All of them, retrieval first."""
        return [*self.retrieval, *self.rows, *self.registered]


def read_tasks(
    settings: Sequence[TaskSettings], prompts: TaskPrompts, *, root: Path | None = None
) -> ReadTasks:
    """Read the local tasks and look up those of mteb; relative paths are below ``root``.

    A missing file, folder or column, a task with nothing to score, an unknown name and a name given
    twice raise ``InputError``; bad rows are set aside.
    """
    found = ReadTasks([], [], [], pl.DataFrame(schema=QUARANTINE_SCHEMA))
    aside = [found.quarantine]
    for one in settings:
        if one.path is None:
            found.registered.extend(registered_tasks(one, prompts))
            continue
        read = read_task(one, prompts, root=root)
        aside.append(read.quarantine)
        if isinstance(read, CheckedRows):
            found.rows.append(read.data)
        else:
            found.retrieval.append(read.data)
    names = [task.name for task in found.all()]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(
            "evaluate.tasks", expected="each task once", got=twice, fix="Rename or remove one."
        )
    return ReadTasks(found.retrieval, found.rows, found.registered, pl.concat(aside))


def joined_tasks(lists: Sequence[ReadTasks]) -> ReadTasks:
    """The tasks of several lists, one after the other; a name may recur."""
    return ReadTasks(
        [task for one in lists for task in one.retrieval],
        [task for one in lists for task in one.rows],
        [task for one in lists for task in one.registered],
        pl.concat([one.quarantine for one in lists]),
    )


def read_task(
    settings: TaskSettings, prompts: TaskPrompts, *, root: Path | None = None
) -> CheckedData | CheckedRows:
    """Read one local task."""
    if settings.path is None or settings.type is None:
        raise InputError(
            f"task {settings.name}", expected="a path and a type", got=Words("no path"),
            fix="Read tasks of mteb with read_tasks.",
        )  # fmt: skip
    path = (root or Path()) / Path(settings.path).expanduser()
    prompt = prompts.of(settings.name, settings.type, settings)
    name, split, columns = settings.name, settings.split, settings.columns
    if settings.type == "Reranking":
        return read_reranking(path, name=name, split=split, columns=columns, **prompt._asdict())
    if settings.type == "Retrieval":
        if path.is_dir() and any(path.glob("corpus*")):
            return read_retrieval_data(
                path, name=name, split=split, columns=columns, **prompt._asdict()
            )
        return read_pairs(path, name=name, split=split, columns=columns, **prompt._asdict())
    return read_row_task(
        path, name=name, task_type=settings.type, split=split, columns=columns, task=prompt.task
    )
