"""From the declarations of tasks to tasks that can be scored."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from gecko_kedro.base.errors import InputError
from gecko_kedro.corpus.schemas import QUARANTINE_SCHEMA
from gecko_kedro.evaluation.tasks.pair_files import read_pairs, read_reranking
from gecko_kedro.evaluation.tasks.registered import registered_tasks
from gecko_kedro.evaluation.tasks.retrieval import CheckedData
from gecko_kedro.evaluation.tasks.retrieval_files import read_retrieval_data
from gecko_kedro.evaluation.tasks.row_files import read_row_task
from gecko_kedro.evaluation.tasks.rows import CheckedRows
from gecko_kedro.evaluation.tasks.settings import TaskPrompts, TaskSettings
from gecko_kedro.evaluation.tasks.task import ReadTasks, Task


def read_tasks(
    settings: Sequence[TaskSettings], prompts: TaskPrompts, *, root: Path | None = None
) -> ReadTasks:
    """Read the local tasks and look up those of mteb; relative paths are below ``root``.

    A missing file, folder or column, a task with nothing to score, an unknown name and a name given
    twice raise ``InputError``; bad rows are set aside.
    """
    tasks: list[Task] = []
    aside = [QUARANTINE_SCHEMA.to_frame()]
    for one in settings:
        if one.path is None:
            tasks.extend(registered_tasks(one, prompts))
            continue
        read = _read_task(one, prompts, root=root)
        tasks.append(read.data)
        aside.append(read.quarantine)
    names = [task.name for task in tasks]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(
            "evaluate.tasks", expected="each task once", got=twice, fix="Rename or remove one."
        )
    return ReadTasks(tasks, pl.concat(aside))


def _read_task(
    settings: TaskSettings, prompts: TaskPrompts, *, root: Path | None
) -> CheckedData | CheckedRows:
    assert settings.path is not None  # a local task, and
    assert settings.type is not None  # TaskSettings sees to it that it has both
    path = (root or Path()) / Path(settings.path).expanduser()
    prompt = prompts.of(settings.name, settings.type, settings)
    if settings.type not in {"Retrieval", "Reranking"}:
        return read_row_task(path, settings, prompt)
    reranking = settings.type == "Reranking"
    if path.is_dir() and any(path.glob("corpus*")):
        # Reranking: the judged passages, 0 included, are the candidates.
        return read_retrieval_data(
            path, name=settings.name, split=settings.split, columns=settings.columns,
            reranking=reranking, **prompt._asdict(),
        )  # fmt: skip
    return (read_reranking if reranking else read_pairs)(path, settings, prompt)
