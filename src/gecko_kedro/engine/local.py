"""The engine of one machine: this process does the work, one piece after the other."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

import polars as pl

from gecko_kedro.base.shards import Shard, missing_pieces
from gecko_kedro.engine.protocol import Role, TableWorker, Worker


class _Lazy:
    """A worker that is made at its first task: where nothing is to be done, no model is loaded."""

    def __init__(self, factory: Callable[[], Worker]) -> None:
        self._factory = factory

    @cached_property
    def _worker(self) -> Worker:
        return self._factory()

    def __call__(self, task: Any) -> Any:
        return self._worker(task)


class _LocalWorkers:
    """See ``Workers``: they work in turn."""

    def __init__(self, factories: Sequence[Callable[[], Worker]]) -> None:
        self._workers = [_Lazy(factory) for factory in factories]

    def each(self, task: Any) -> list[Any]:
        return [worker(task) for worker in self._workers]

    def spread(self, tasks: Iterable[Any]) -> Iterator[tuple[int, Any]]:
        for number, task in enumerate(tasks):
            yield number, self._workers[number % len(self._workers)](task)


class LocalEngine:
    """See ``Engine``. One worker with all threads; pieces in their order."""

    in_process = True
    calls_at_once: int | None = None

    def workers(self, role: Role) -> int:
        """One."""
        return 1

    def threads(self, role: Role) -> int | None:
        """All."""
        return None

    def map(
        self,
        factory: Callable[[], TableWorker],
        table: pl.DataFrame | pl.LazyFrame,
        *,
        size: int,
        finished: Collection[int],
        role: Role,
    ) -> Iterator[Shard]:
        """See ``Engine.map``."""
        worker = _Lazy(factory)
        for piece in missing_pieces(table, size=size, finished=finished):
            yield Shard(piece.index, piece.total, worker(piece.rows))

    def hold(self, factories: Sequence[Callable[[], Worker]], *, role: Role) -> _LocalWorkers:
        """See ``Engine.hold``."""
        return _LocalWorkers(factories)
