"""What the project asks of an engine: two ways to give work to workers, and nothing else.

A *worker* is a callable that holds something expensive, such as a model. It is made where it works,
from a *factory* that can be sent there: a class of a module with its arguments
(``functools.partial``). It is made at its first task (``functools.cache``): where nothing is to be
done, no model is loaded. What a worker gives may depend on its factory and its task only. Then a
task can be done again where a worker died, and every engine gives the same.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, Literal, Protocol

import polars as pl

from gecko_kedro.base.shards import Shard

Role = Literal["encoder", "search", "teacher"]
TableWorker = Callable[[pl.DataFrame], pl.DataFrame]
Worker = Callable[[Any], Any]


class Workers(Protocol):
    """Workers that stay, each with what it holds, until nobody refers to this object any more."""

    def each(self, task: Any) -> list[Any]:
        """The answer of every worker to the same ``task``, in the order of the factories."""

    def spread(self, tasks: Iterable[Any]) -> Iterator[tuple[int, Any]]:
        """(number of the task, answer) as they come; each task goes to a worker that is free.

        ``tasks`` is read only as far as workers are free. What a worker raises is raised here.
        """


class Engine(Protocol):
    """One machine or many behind one face. What a worker raises, an engine raises."""

    in_process: bool  # whether the work is done in this process
    calls_at_once: int | None  # of a teacher, that go to a worker together; None for no limit

    def workers(self, role: Role) -> int:
        """How many workers do the work of ``role`` at once."""

    def threads(self, role: Role) -> int | None:
        """CPU threads that one worker may use; None for all of the machine."""

    def map(
        self,
        factory: Callable[[], TableWorker],
        table: pl.DataFrame | pl.LazyFrame,
        *,
        size: int,
        finished: Collection[int],
        role: Role,
    ) -> Iterator[Shard]:
        """The shard that a worker makes of each of the ``missing_pieces``, in any order."""

    def hold(self, factories: Sequence[Callable[[], Worker]], *, role: Role) -> Workers:
        """One worker from each factory."""
