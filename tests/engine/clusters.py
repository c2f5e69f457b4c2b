"""Engines for tests: a small Ray cluster on this machine, and one of several local workers."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from gecko_kedro.engine import Engine, EngineSettings, LocalEngine, Role, build_engine

BASE = Path(__file__).resolve().parents[2] / "conf" / "base"


def engine_settings(kind: str = "local", **changes: Any) -> EngineSettings:
    """Those of conf/base, with two small workers of each role."""
    values = yaml.safe_load((BASE / "parameters_engine.yml").read_text("utf-8"))["engine"]
    values["kind"] = kind
    values["ray"]["local_cluster"] = {"cpus": 2, "gpus": 0, "object_store_mb": 100}
    for role in ("encoder", "search", "teacher"):
        values["ray"][role] |= {"actors": 2, "cpus": 0.5} | changes
    return EngineSettings.model_validate(values)


@contextmanager
def small_cluster(**changes: Any) -> Iterator[Engine]:
    """A cluster for as long as the block."""
    from gecko_kedro.engine.cluster import disconnect

    try:
        yield build_engine(engine_settings("ray", **changes))
    finally:
        disconnect()


class SeveralLocal(LocalEngine):
    """In this process, with ``n`` workers and tasks of ``rows``: what is cut for a cluster."""

    in_process = False

    def __init__(self, n: int, rows: int) -> None:
        self._n, self._rows = n, rows

    def workers(self, role: Role) -> int:
        return self._n

    def rows_at_once(self, role: Role) -> int | None:
        return self._rows
