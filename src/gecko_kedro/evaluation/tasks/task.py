"""What every task is to the rest of the evaluation, wherever its data come from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import polars as pl

from gecko_kedro.base.errors import InputError, Words


class Task(Protocol):
    """A task to score: of retrieval tables, of rows in one table, or one that mteb fetches."""

    @property
    def name(self) -> str:
        """Unique among the tasks of a run."""

    @property
    def type(self) -> str:
        """The type of task as mteb calls it: Retrieval, STS, ..."""

    @property
    def task(self) -> str:
        """The task name in the prompt."""

    @property
    def symmetric(self) -> bool:
        """Whether passages get the query's template too."""

    @property
    def size(self) -> str:
        """How much there is, in words."""

    @property
    def digest(self) -> str:
        """Sixteen hex digits over all that is scored and how: the cache goes by it."""

    @property
    def revision(self) -> str:
        """What identifies its data: their digest, or the revision on the hub."""

    def texts(self) -> pl.DataFrame:
        """EVALUATION_TEXT_SCHEMA: its queries and positives, which training must not see."""

    def to_mteb(self) -> Any:
        """A new instance for ``mteb.evaluate``, which keeps its predictions."""


_Data_co = TypeVar("_Data_co", bound=Task, covariant=True)


@dataclass(frozen=True)
class Checked(Generic[_Data_co]):
    """A task that can be scored, and the rows that were set aside (QUARANTINE_SCHEMA)."""

    data: _Data_co
    quarantine: pl.DataFrame

    @property
    def counts(self) -> dict[str, int]:
        """How many rows were set aside, by reason."""
        return dict(self.quarantine.group_by("reason").len().sort("reason").iter_rows())


@dataclass(frozen=True)
class ReadTasks:
    """Tasks in the order of their declaration, and the rows that were set aside in reading."""

    tasks: Sequence[Task]
    quarantine: pl.DataFrame  # QUARANTINE_SCHEMA

    def with_own(self, own: Checked[Task] | None) -> "ReadTasks":
        """The task of the user's own data, where there is one, and then these."""
        if own is None:
            return self
        aside = pl.concat([own.quarantine, self.quarantine])
        return ReadTasks([own.data, *self.tasks], aside)


def require_tasks(tasks: Sequence[Task]) -> None:
    """Raise ``InputError`` unless there is something to evaluate on, under names of their own."""
    names = [data.name for data in tasks]
    if not names or len(set(names)) != len(names):
        raise InputError(
            "evaluation tasks", expected="at least one, each with a name of its own",
            got=names or Words("no tasks"),
            fix="Hold out part of the corpus, or name a folder with own queries and judgements.",
        )  # fmt: skip
