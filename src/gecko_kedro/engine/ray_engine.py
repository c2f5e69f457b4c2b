"""The engine of many machines: Ray Data for tables, Ray actors for workers that stay."""

import io
import json
import logging
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import polars as pl
import pyarrow as pa
import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.actor_pool import ActorPool

from gecko_kedro.base.errors import InputError, error_again
from gecko_kedro.base.shards import Shard, count_rows
from gecko_kedro.engine.protocol import Role, TableWorker, Worker
from gecko_kedro.engine.settings import PoolSettings, RaySettings

logger = logging.getLogger(__name__)
_SECONDS_BETWEEN_LINES = 30.0
_MADE = pa.schema(
    {"index": pa.int64(), "total": pa.int64(), "error": pa.string(), "table": pa.large_binary()}
)


class RayEngine:
    """See ``Engine``. Needs a connection (``cluster.connect``).

    A worker whose process or machine dies is made anew, there or elsewhere, and its task is done
    again, however often it happens.
    """

    in_process = False

    def __init__(self, settings: RaySettings) -> None:
        self._settings = settings
        self.calls_at_once: int | None = settings.teacher.calls_at_once

    def workers(self, role: Role) -> int:
        """As the settings say."""
        return self._pool(role).actors

    def threads(self, role: Role) -> int | None:
        """The whole CPUs of one worker, at least one."""
        return max(1, math.floor(self._pool(role).cpus))

    def map(
        self,
        factory: Callable[[], TableWorker],
        table: pl.DataFrame | pl.LazyFrame,
        *,
        size: int,
        finished: Collection[int],
        role: Role,
    ) -> Iterator[Shard]:
        """See ``Engine.map``: ``map_batches`` on a pool of actors, one ``piece_plan`` a row."""
        total = max(1, -(-count_rows(table) // size))
        rows = [
            {"index": index, "total": total, "plan": piece_plan(table, index * size, size)}
            for index in range(total)
            if index not in finished
        ]
        if not rows:
            return
        pool = self._pool(role)
        # Progress is shown by ours; Ray Data's plans and bars go to its own log files.
        ray.data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        # A block a piece, so that each result comes as soon as it is there.
        shards = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            _TableActor,
            fn_constructor_args=(factory,),
            compute=ray.data.ActorPoolStrategy(size=min(pool.actors, len(rows))),
            batch_size=1,
            batch_format="pyarrow",
            num_cpus=pool.cpus,
            num_gpus=pool.gpus or None,
        )
        batches: Iterable[Any] = shards.iter_batches(
            batch_size=None, batch_format="pyarrow", prefetch_batches=0
        )
        with _reasons():
            for batch in batches:
                for row in batch.to_pylist():
                    if row["error"] is not None:
                        raise error_again(json.loads(row["error"]))
                    yield Shard(row["index"], row["total"], pl.read_ipc(io.BytesIO(row["table"])))

    def hold(self, factories: Sequence[Callable[[], Worker]], *, role: Role) -> "_RayWorkers":
        """See ``Engine.hold``. What equal factories hold is sent once."""
        pool = self._pool(role)
        sent = {id(factory): ray.put(factory) for factory in factories}
        kind = _RemoteWorker.options(num_cpus=pool.cpus, num_gpus=pool.gpus)
        actors = [kind.remote(sent[id(factory)]) for factory in factories]
        _await(actors, role, pool)
        return _RayWorkers(actors, list(sent.values()))

    def _pool(self, role: Role) -> PoolSettings:
        pool: PoolSettings = getattr(self._settings, role)
        return pool


def piece_plan(table: pl.DataFrame | pl.LazyFrame, start: int, size: int) -> bytes:
    """How to read ``size`` rows of ``table`` from row ``start`` on, for ``LazyFrame.deserialize``.

    Of a scan of Parquet it is the place of the file, which all machines must see; of a table in
    memory it holds these rows, and no others.
    """
    return table.slice(start, size).lazy().serialize()


class _TableActor:
    """What ``map_batches`` calls: one row in, one row out, the tables within as bytes.

    As one value, a table is never split into two blocks, an empty one is not lost, and every
    column keeps its polars type. An error of bad input is a row too: Ray Data would wrap it until
    nobody can read it.
    """

    def __init__(self, factory: Callable[[], TableWorker]) -> None:
        self._worker = cache(factory)

    def __call__(self, batch: pa.Table) -> pa.Table:
        (row,) = batch.to_pylist()
        content, error = io.BytesIO(), None
        try:
            rows = pl.LazyFrame.deserialize(io.BytesIO(row["plan"])).collect()
            self._worker()(rows).write_ipc(content)
        except InputError as refusal:
            error = json.dumps(refusal.parts())
        made = {"index": row["index"], "total": row["total"], "error": error}
        return pa.Table.from_pylist([made | {"table": content.getvalue()}], schema=_MADE)


class _Actor:
    """A worker of ``hold``."""

    def __init__(self, factory: Callable[[], Worker]) -> None:
        self._worker = cache(factory)

    def work(self, number: int, task: Any) -> tuple[int, Any]:
        return number, self._worker()(task)


# Made anew and asked again however often its process or machine dies.
_RemoteWorker: Any = ray.remote(max_restarts=-1, max_task_retries=-1)(_Actor)


class _RayWorkers:
    """See ``Workers``: actors, which end with the last reference to them."""

    def __init__(self, actors: list[Any], factories: list[Any]) -> None:
        self._actors = actors
        self._factories = factories  # kept: an actor that is restarted reads its own again

    def each(self, task: Any) -> list[Any]:
        sent = ray.put(task)
        with _reasons():
            answers = ray.get([actor.work.remote(0, sent) for actor in self._actors])
        return [answer for _, answer in answers]

    def spread(self, tasks: Iterable[Any]) -> Iterator[tuple[int, Any]]:
        pool: Any = ActorPool(self._actors)
        with _reasons():
            for numbered in enumerate(tasks):
                if not pool.has_free():
                    yield pool.get_next_unordered()
                pool.submit(lambda actor, both: actor.work.remote(*both), numbered)
            while pool.has_next():
                yield pool.get_next_unordered()


def _await(actors: list[Any], role: Role, pool: PoolSettings) -> None:
    """Wait until all ``actors`` have their place, and say so where that takes long."""
    waiting = [actor.__ray_ready__.remote() for actor in actors]
    while True:
        _, waiting = ray.wait(waiting, num_returns=len(waiting), timeout=_SECONDS_BETWEEN_LINES)
        if not waiting:
            return
        free = ray.available_resources()  # type: ignore[no-untyped-call]
        logger.warning(
            "%d of %d %s workers wait for %g CPUs and %g GPUs each; free are %g and %g",
            len(waiting), len(actors), role, pool.cpus, pool.gpus,
            free.get("CPU", 0), free.get("GPU", 0),
        )  # fmt: skip


@contextmanager
def _reasons() -> Iterator[None]:
    """Raise what a worker raised without Ray's wrapping, where it is an error of bad input."""
    try:
        yield
    except RayError as error:
        cause = error.cause if isinstance(error, RayTaskError) else None
        raise (cause if isinstance(cause, InputError) else error) from None
