"""Both engines: the same shards, the same answers, the same errors."""

from collections.abc import Iterator
from functools import partial
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline

from gecko_kedro.base.errors import InputError, error_again
from gecko_kedro.base.shards import Shard
from gecko_kedro.engine import Engine, EngineSettings, build_engine
from gecko_kedro.hooks.fingerprints import Fingerprints
from gecko_kedro.teacher.protocol import TeacherError
from tests.support.clusters import engine_settings, small_cluster
from tests.support.engine_workers import Failing, Scaler

TABLE = pl.DataFrame(
    {"x": range(10), "vector": [[n / 7, n / 3] for n in range(10)], "text": ["tea", None] * 5},
    schema_overrides={"x": pl.Int32, "vector": pl.Array(pl.Float32, 2)},
)


@pytest.fixture(scope="module", params=["local", "ray"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    if request.param == "local":
        yield build_engine(engine_settings())
        return
    with small_cluster() as cluster:
        yield cluster


def mapped(engine: Engine, table: pl.DataFrame | pl.LazyFrame, *finished: int) -> list[Shard]:
    shards = engine.map(partial(Scaler, 3), table, size=4, finished=finished, role="encoder")
    return sorted(shards, key=lambda shard: shard.index)


def test_each_piece_becomes_its_own_shard_with_every_type_kept(engine: Engine) -> None:
    found = mapped(engine, TABLE, 1)
    assert [(shard.index, shard.total) for shard in found] == [(0, 3), (2, 3)]
    expected = TABLE.with_columns(pl.col("x") * 3)
    assert found[0].table.equals(expected.head(4))
    assert found[1].table.equals(expected.tail(2))
    assert found[0].table.schema == TABLE.schema


def test_an_empty_piece_is_a_shard_with_the_columns(engine: Engine) -> None:
    (shard,) = mapped(engine, TABLE.clear())
    assert (shard.index, shard.total, shard.table.height) == (0, 1, 0)
    assert shard.table.schema == TABLE.schema


def test_the_table_may_be_a_scan_of_parquet(engine: Engine, tmp_path: Path) -> None:
    TABLE.write_parquet(tmp_path / "table.parquet", row_group_size=3)
    found = mapped(engine, pl.scan_parquet(tmp_path / "table.parquet").select("x", "text"), 0)
    assert [(shard.index, shard.total) for shard in found] == [(1, 3), (2, 3)]
    expected = TABLE.select(pl.col("x") * 3, "text").tail(6)
    assert pl.concat([shard.table for shard in found]).equals(expected)


def test_a_piece_travels_as_a_place_in_a_file_or_as_its_own_rows(tmp_path: Path) -> None:
    from gecko_kedro.engine.ray_engine import piece_plan

    table = pl.DataFrame({"x": range(100_000), "text": ["tea from the hills"] * 100_000})
    table.write_parquet(tmp_path / "table.parquet")
    for source in (table, pl.scan_parquet(tmp_path / "table.parquet")):
        plan = piece_plan(source, 500, 4)
        assert len(plan) < 10_000
        assert pl.LazyFrame.deserialize(BytesIO(plan)).collect().equals(table[500:504])


def test_where_all_is_finished_no_worker_is_made(engine: Engine) -> None:
    assert not list(engine.map(Failing, TABLE, size=5, finished={0, 1}, role="encoder"))


def test_an_error_of_bad_input_arrives_as_it_was_raised(engine: Engine) -> None:
    told = "^the model: expected a folder, got 7. Make one.$"
    with pytest.raises(InputError, match=told) as of_map:
        list(engine.map(Failing, TABLE, size=4, finished=(), role="encoder"))
    workers = engine.hold([Failing, Failing], role="search")
    with pytest.raises(InputError, match=told):
        workers.each(TABLE)
    with pytest.raises(InputError, match=told):
        list(workers.spread([TABLE]))
    assert of_map.value.fix == "Make one."


def test_every_worker_answers_in_the_order_of_the_factories(engine: Engine) -> None:
    workers = engine.hold([partial(Scaler, factor) for factor in (5, 2)], role="search")
    assert [table["x"][1] for table in workers.each(TABLE)] == [5, 2]


def test_tasks_are_spread_and_read_only_as_far_as_workers_are_free(engine: Engine) -> None:
    read = []

    def tasks() -> Iterator[pl.DataFrame]:
        for n in range(20):
            read.append(n)
            yield TABLE.slice(n % 10, 1)

    workers = engine.hold([partial(Scaler, 3)] * 2, role="teacher")
    answers = workers.spread(tasks())
    first = next(answers)
    assert len(read) <= 3
    found = dict([first, *answers])
    assert [found[n]["x"].item() for n in range(20)] == [3 * (n % 10) for n in range(20)]


def use(rows: int, settings: EngineSettings) -> int:
    return rows


def test_the_engine_is_no_part_of_a_fingerprint() -> None:
    pipeline = Pipeline([Node(use, ["rows", "params:engine"], "used")])
    found = set()
    for settings in (engine_settings(), engine_settings("ray", actors=1)):
        catalog = DataCatalog({"rows": MemoryDataset(1), "params:engine": MemoryDataset(settings)})
        catalog["used"] = MemoryDataset()
        found.add(Fingerprints(pipeline, catalog).of("used").digest)
    assert len(found) == 1


def test_without_ray_the_line_that_installs_it_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gecko_kedro.engine.cluster.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'gecko-kedro\[ray\]'"):
        build_engine(engine_settings("ray"))


def test_a_cluster_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    def refuse(**options: object) -> None:
        assert options["address"] == "ray-head:6379"
        raise ConnectionError("ray-head:6379 does not answer")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", refuse)
    monkeypatch.setenv("RAY_ADDRESS", "ray-head:6379")
    with pytest.raises(InputError, match=r"Ray cluster ray-head:6379: .*Check RAY_ADDRESS"):
        build_engine(engine_settings("ray"))


def test_workers_that_this_machine_can_never_hold_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import ray

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(InputError, match=r"engine.ray.encoder: .* at most 2, .* got '3 x 1'"):
        build_engine(engine_settings("ray", actors=3, cpus=1))


def test_a_connection_of_the_callers_own_is_used_and_left_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import ray

    from gecko_kedro.engine import cluster

    monkeypatch.setattr(cluster, "_connections", [])
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    monkeypatch.setattr(ray, "init", lambda **_: pytest.fail("connected again"))
    monkeypatch.setattr(ray, "shutdown", lambda: pytest.fail("the caller's cluster was left"))
    build_engine(engine_settings("ray"))
    cluster.disconnect()


@pytest.mark.parametrize("kind", [InputError, TeacherError])
def test_an_error_keeps_its_parts_from_process_to_process(kind: type[InputError]) -> None:
    error = kind("a", expected="b", got=SimpleNamespace(c=1), fix="d")
    make, arguments = error.__reduce__()
    again = make(*arguments)
    assert type(again) is kind
    assert str(again) == str(error)
    assert (again.where, again.expected, again.fix) == ("a", "b", "d")
    assert str(error_again(error.parts())) == str(error)
