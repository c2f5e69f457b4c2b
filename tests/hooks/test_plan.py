"""What a changed parameter reaches is made anew, and nothing else; the plan says so before."""

import json
import logging
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from kedro.framework.hooks import hook_impl
from kedro.framework.hooks.manager import _create_hook_manager, _register_hooks
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline
from kedro.runner import SequentialRunner

from gecko_kedro.base.errors import InputError
from gecko_kedro.base.settings import Settings
from gecko_kedro.catalog import ProjectCatalog
from gecko_kedro.datasets import JsonDataset, TableDataset
from gecko_kedro.hooks.checks import CheckHooks, prepare
from gecko_kedro.hooks.fingerprints import Outputs
from gecko_kedro.hooks.ledger import LEDGER
from gecko_kedro.hooks.plan import Plan, PlannedNode, plan_run


class Limit(Settings):
    limit: int = 3


def shorten(source: pl.DataFrame, settings: Limit) -> tuple[pl.DataFrame, dict[str, int]]:
    return source.head(settings.limit), {"rows": settings.limit}


def double(short: pl.DataFrame) -> pl.DataFrame:
    return pl.concat([short, short])


def show(twice: pl.DataFrame, settings: Limit) -> dict[str, int]:
    return {"shown": min(twice.height, settings.limit)}


PIPELINE = Pipeline(
    [
        Node(shorten, ["source", "params:cut"], ["short", "counts"], name="cut.shorten"),
        Node(double, "short", "twice", name="cut.double"),
        Node(show, ["twice", "params:show"], "page", name="show.show"),
    ]
)


class Ran:
    """Notes which nodes run."""

    def __init__(self) -> None:
        self.nodes: list[str] = []

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        self.nodes.append(node.name)


class Project:
    """A data folder on which PIPELINE is run, as ``kedro run --only-missing-outputs`` does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        pl.DataFrame({"x": range(9)}).write_parquet(folder / "source.parquet")
        self.run()

    def catalog(self, cut: int = 3, shown: int = 2) -> ProjectCatalog:
        tables = ("source", "short", "twice")
        files = {n: TableDataset(filepath=str(self.folder / f"{n}.parquet")) for n in tables}
        pages = {
            n: JsonDataset(filepath=str(self.folder / f"{n}.json")) for n in ("counts", "page")
        }
        ledger = str(self.folder / "run_ledger.json")
        pages[LEDGER] = JsonDataset(filepath=ledger, optional=True)
        settings = {"params:cut": Limit(limit=cut), "params:show": Limit(limit=shown)}
        given = {name: MemoryDataset(value) for name, value in settings.items()}
        return ProjectCatalog(datasets={**files, **pages, **given})

    def plan(self, *, only_missing: bool = True, **values: int) -> Plan:
        return prepare(PIPELINE, self.catalog(**values), self.folder, only_missing)[1]

    def run(self, **values: int) -> list[str]:
        """The nodes that ran."""
        hooks, ran, catalog = CheckHooks(), Ran(), self.catalog(**values)
        hooks._folder = self.folder
        manager = _create_hook_manager()
        _register_hooks(manager, (hooks, ran))
        hooks.before_pipeline_run({"only_missing_outputs": True}, PIPELINE, catalog)
        SequentialRunner().run(PIPELINE, catalog, manager, only_missing_outputs=True)
        return ran.nodes

    def read(self, name: str) -> Any:
        return json.loads((self.folder / f"{name}.json").read_text("utf-8"))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_nothing_is_made_where_nothing_changed(project: Project) -> None:
    assert project.plan().nodes == ()
    assert project.plan().table() == "Nothing to do: every output is there."
    assert project.run() == []


def test_another_value_makes_anew_what_it_reaches(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert project.run(shown=1) == ["show.show"]
    assert project.read("page") == {"shown": 1}
    assert "Changed: show.limit: 2 -> 1. 1 of 3 nodes run from show.show on" in caplog.text
    assert project.run(shown=1) == []
    assert project.run(cut=4, shown=1) == ["cut.shorten", "cut.double", "show.show"]
    assert pl.read_parquet(project.folder / "twice.parquet").height == 8


def test_a_run_that_was_stopped_goes_on_with_what_is_still_stale(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = JsonDataset.save

    def fail(self: JsonDataset, data: dict[str, Any]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(JsonDataset, "save", fail)  # of counts: short was saved before it
    with pytest.raises(KeyboardInterrupt):
        project.run(cut=4)
    monkeypatch.setattr(JsonDataset, "save", save)
    assert project.run(cut=4) == ["cut.shorten", "cut.double", "show.show"]
    assert project.read("counts") == {"rows": 4}
    assert project.run(cut=4) == []


def test_the_plan_says_what_runs_why_and_how_long(project: Project) -> None:
    nodes = {"cut.shorten": {"seconds": 5.0}, "cut.double": {"seconds": 300.0}}
    (project.folder / "run_ledger.json").write_text(json.dumps({"nodes": nodes}))
    before = sorted(file.stat().st_mtime_ns for file in project.folder.iterdir())
    plan = project.plan(cut=4)
    assert plan.nodes == (
        PlannedNode("cut.shorten", ("cut.limit: 3 -> 4",), 5.0),
        PlannedNode("cut.double", ("short is made anew",), 300.0),
        PlannedNode("show.show", ("twice is made anew",), None),
    )
    assert plan.table().splitlines()[2:] == [
        "cut.double     5 min  short is made anew",
        "show.show    unknown  twice is made anew",
        "Changed: cut.limit: 3 -> 4. 3 of 3 nodes run from cut.shorten on, "
        "about 5 min by their last run, and 1 that have not run before",
    ]
    assert sorted(file.stat().st_mtime_ns for file in project.folder.iterdir()) == before


def test_a_missing_output_is_named(project: Project) -> None:
    (project.folder / "twice.parquet").unlink()
    plan = project.plan()
    assert plan.nodes == (PlannedNode("cut.double", ("twice is missing",), None),)
    assert "unknown" in plan.duration()


def test_without_only_missing_outputs_every_node_runs(project: Project) -> None:
    plan = project.plan(only_missing=False, shown=1)
    assert [node.name for node in plan.nodes] == [node.name for node in PIPELINE.nodes]
    assert plan.nodes[0].reasons == ("every node runs without --only-missing-outputs",)
    assert plan.nodes[2].reasons == ("show.limit: 2 -> 1",)


def test_what_was_put_there_by_hand_is_not_overwritten(project: Project) -> None:
    own = pl.DataFrame({"x": [5, 6]})
    own.write_parquet(project.folder / "short.parquet")
    assert project.run() == ["cut.double", "show.show"]  # it is an input like any other
    with pytest.raises(InputError, match=r"'short'.*cut.shorten would overwrite it") as refusal:
        project.run(cut=4)
    assert "cut.limit: 3 -> 4" in str(refusal.value)
    assert pl.read_parquet(project.folder / "short.parquet").equals(own)
    (project.folder / "short.parquet").unlink()  # as the message says
    assert project.run(cut=4) == ["cut.shorten", "cut.double", "show.show"]


def test_a_missing_neighbour_does_not_overwrite_it_either(project: Project) -> None:
    pl.DataFrame({"x": [5, 6]}).write_parquet(project.folder / "short.parquet")
    (project.folder / "counts.json").unlink()
    with pytest.raises(InputError, match="counts is missing"):
        project.run()


def test_the_nodes_are_those_that_kedros_runner_chooses() -> None:
    """Of outputs that are kept in memory too."""
    nodes = [
        Node(lambda a: a, "a", "b", name="first"),
        Node(lambda b: b, "b", "c", name="second"),
        Node(lambda b: b, "b", "d", name="third"),
        Node(lambda c: None, "c", None, name="last"),
    ]
    pipeline = Pipeline(nodes)
    for there in ((), ("b",), ("c",), ("c", "d"), ("b", "c", "d")):
        catalog = DataCatalog({"a": MemoryDataset(1), **{n: _Kept(n in there) for n in "cd"}})
        if "b" in there:
            catalog["b"] = _Kept(True)
        chosen = SequentialRunner()._filter_pipeline_for_missing_outputs(pipeline, catalog)
        plan = plan_run(pipeline, catalog, Outputs({}, {}), only_missing=True, seconds={})
        made = {node.name for node in chosen.nodes if node.outputs}  # others only log
        assert {node.name for node in plan.nodes} == made, there


class _Kept(JsonDataset):
    """A file that is there or not."""

    def __init__(self, there: bool) -> None:
        super().__init__(filepath="unused")
        self.there = there

    def _exists(self) -> bool:
        return self.there
