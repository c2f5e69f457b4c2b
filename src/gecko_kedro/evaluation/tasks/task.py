"""What every task is to the rest of the evaluation, wherever its data come from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import polars as pl

from gecko_kedro.base.errors import InputError, Words
from gecko_kedro.corpus.schemas import EVALUATION_TEXT_SCHEMA


class Task(Protocol):
    """A task to score: of retrieval tables, of rows in one table, or one that mteb fetches.

    ``name`` is unique among the tasks of a run, ``type`` is what mteb calls it (Retrieval, STS,
    ...) and ``task`` the task name in the prompt. ``symmetric``: passages get the query's template
    too. ``size`` says in words how much there is.
    """

    @property
    def name(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def task(self) -> str: ...
    @property
    def symmetric(self) -> bool: ...
    @property
    def size(self) -> str: ...

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


def evaluation_texts(tasks: Iterable[Task]) -> pl.DataFrame:
    """Every distinct query and positive of the tasks (EVALUATION_TEXT_SCHEMA), in their order.

    Tasks of mteb are loaded from the hub; one that cannot be gives nothing, as it gives no score
    either, and is named in the log.
    """
    found = pl.concat([EVALUATION_TEXT_SCHEMA.to_frame(), *(task.texts() for task in tasks)])
    return found.unique(["side", "text"], keep="first", maintain_order=True)


def texts_of(
    table: pl.DataFrame, *, task: str, side: str, ids: pl.Expr, of: Sequence[str]
) -> pl.DataFrame:
    """The texts in the columns ``of``, lists included and blanks left out, under ``ids``."""
    found = [EVALUATION_TEXT_SCHEMA.to_frame()]
    for column in of:
        text_id = pl.format("{}, {}", ids, pl.lit(column)) if len(of) > 1 else ids
        part = table.select(task=pl.lit(task), side=pl.lit(side), text_id=text_id, text=column)
        if part.schema["text"].base_type() == pl.List:
            part = part.explode("text")
        found.append(part.filter(pl.col("text").str.strip_chars() != ""))
    return pl.concat(found)
