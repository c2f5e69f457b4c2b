"""``kedro run`` on Ray: the same tables, row for row, as in one process."""

from pathlib import Path

import polars as pl
import pytest

from tests.e2e.conftest import new_project

pytestmark = [pytest.mark.e2e, pytest.mark.ray]
ON_RAY = {
    "engine.kind": "ray",
    "engine.ray.local_cluster.cpus": 2,
    "engine.ray.local_cluster.object_store_mb": 200,
    "engine.ray.teacher.calls_at_once": 16,
    **{f"engine.ray.{role}.actors": 2 for role in ("encoder", "search", "teacher")},
    **{f"engine.ray.{role}.cpus": 0.5 for role in ("encoder", "search", "teacher")},
}
PARAMETERS = ",".join(f"{name}={value}" for name, value in ON_RAY.items())


def test_every_table_of_fret_is_that_of_a_local_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    local, on_ray = (new_project(tmp_path / name) for name in ("local", "ray"))
    local.run("--pipelines", "fret")
    output = on_ray.run("--pipelines", "fret", "--params", PARAMETERS)
    assert "INFO    Ray 2." in output
    tables = sorted(local.data.rglob("*.parquet"))
    assert {"fret.parquet", "candidates.parquet", "queries.parquet"} <= {t.name for t in tables}
    for table in tables:
        other = on_ray.data / table.relative_to(local.data)
        assert pl.read_parquet(other).equals(pl.read_parquet(table)), table
    for vectors in ("passage", "query"):
        file = Path(f"04_feature/{vectors}_vector_shards/vectors.float32")
        assert (on_ray.data / file).read_bytes() == (local.data / file).read_bytes()
    # The engine is nothing that a result is made from: local work goes on from Ray's.
    output = on_ray.run("--pipelines", "fret", "--only-missing-outputs")
    assert "embed_passages" not in output
