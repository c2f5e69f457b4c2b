"""From settings to an engine, and that of one machine: this process does the work, in turn."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import cache
from typing import Any

import polars as pl

from gecko_kedro.base.shards import Shard, missing_pieces
from gecko_kedro.engine.protocol import Engine, Role, TableWorker, Worker
from gecko_kedro.engine.settings import EngineSettings


class _LocalWorkers:
    """See ``Workers``: they work in turn."""

    def __init__(self, factories: Sequence[Callable[[], Worker]]) -> None:
        self._workers = [cache(factory) for factory in factories]

    def each(self, task: Any) -> list[Any]:
        return [worker()(task) for worker in self._workers]

    def spread(self, tasks: Iterable[Any]) -> Iterator[tuple[int, Any]]:
        for number, task in enumerate(tasks):
            yield number, self._workers[number % len(self._workers)]()(task)


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
        worker = cache(factory)
        for piece in missing_pieces(table, size=size, finished=finished):
            yield Shard(piece.index, piece.total, worker()(piece.rows))

    def hold(self, factories: Sequence[Callable[[], Worker]], *, role: Role) -> _LocalWorkers:
        """See ``Engine.hold``."""
        return _LocalWorkers(factories)


def build_engine(settings: EngineSettings) -> Engine:
    """The engine that ``settings`` name. Ray's is connected to its cluster, or starts one.

    Raises InputError where Ray is not installed or its cluster cannot be reached.
    """
    if settings.kind == "local":
        return LocalEngine()
    from gecko_kedro.engine.cluster import connect  # Ray is an extra

    connect(settings.ray)
    from gecko_kedro.engine.ray_engine import RayEngine

    return RayEngine(settings.ray)
