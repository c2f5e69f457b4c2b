"""Engines for tests: a small Ray cluster on this machine, and one of several local workers."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from gecko_kedro.base.shards import Shard
from gecko_kedro.engine import Engine, EngineSettings, LocalEngine, Role, Workers, build_engine
from tests.support.engine_workers import Mortal

BASE = Path(__file__).resolve().parents[2] / "conf" / "base"


def engine_settings(kind: str = "local", **changes: Any) -> EngineSettings:
    """Those of conf/base, with two small workers of each role."""
    values = yaml.safe_load((BASE / "parameters/engine.yml").read_text("utf-8"))["engine"]
    values["kind"] = kind
    values["ray"]["local_cluster"] = {"cpus": 2, "gpus": 0, "object_store_mb": 100}
    for role in ("encoder", "search", "teacher"):
        values["ray"][role] |= {"actors": 2, "cpus": 0.5} | changes
    values["ray"]["teacher"]["calls_at_once"] = 4
    return EngineSettings.model_validate(values)


@contextmanager
def small_cluster(**changes: Any) -> Iterator[Engine]:
    """A cluster for as long as the block."""
    from gecko_kedro.engine.cluster import disconnect

    try:
        yield build_engine(engine_settings("ray", **changes))
    finally:
        disconnect()


class Killing:
    """``engine`` with workers of which one is killed once, in the middle of its second task."""

    def __init__(self, engine: Engine, grave: Path) -> None:
        self._engine, self._grave = engine, grave
        self.in_process, self.workers = engine.in_process, engine.workers
        self.threads, self.calls_at_once = engine.threads, engine.calls_at_once

    def map(
        self, factory: Any, table: pl.DataFrame | pl.LazyFrame, **options: Any
    ) -> Iterator[Shard]:
        yield from self._engine.map(partial(Mortal, factory, self._grave), table, **options)

    def hold(self, factories: Sequence[Any], *, role: Role) -> Workers:
        mortal = [partial(Mortal, factory, self._grave) for factory in factories]
        return self._engine.hold(mortal, role=role)


class SeveralLocal(LocalEngine):
    """In this process, with ``n`` workers that get ``calls_at_once``: cut as for a cluster."""

    in_process = False

    def __init__(self, n: int, *, calls_at_once: int | None = None) -> None:
        self._n, self.calls_at_once = n, calls_at_once

    def workers(self, role: Role) -> int:
        return self._n
