"""One hook measures what a run costs: for the ledger, for MLflow and for the last lines."""

import logging
from pathlib import Path

import pytest
from kedro.io import DataCatalog
from kedro.pipeline import Node

from gecko_kedro.base import events
from gecko_kedro.datasets import JsonDataset
from gecko_kedro.hooks.ledger import LEDGER, LedgerHooks, read_ledger


@pytest.fixture
def catalog(tmp_path: Path) -> DataCatalog:
    return DataCatalog({LEDGER: JsonDataset(filepath=str(tmp_path / "run_ledger.json"))})


def run(hooks: LedgerHooks, catalog: DataCatalog, *names: str) -> None:
    hooks.before_pipeline_run({}, catalog)
    for name in names:
        node = Node(lambda: 1, None, "made", name=name)
        hooks.before_node_run(node)
        hooks.after_dataset_saved("made", 1, node)
    hooks.after_pipeline_run(catalog)


def test_a_run_ends_with_a_table_of_its_own_nodes(
    catalog: DataCatalog, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    hooks = LedgerHooks()
    run(hooks, catalog, "mine.search", "mine.collect")
    table = caplog.messages[-1].split()
    assert table[:4] == ["node", "seconds", "peak", "MB"]
    assert [word for word in table if "mine" in word or word == "all"] == [
        "mine.search", "mine.collect", "all",
    ]  # fmt: skip
    run(hooks, catalog)
    assert caplog.messages[-1] == "Nothing to do: every output is there."


def test_the_costs_of_other_nodes_and_of_the_teacher_stay(catalog: DataCatalog) -> None:
    run(LedgerHooks(), catalog, "mine.search")
    hooks = LedgerHooks()
    hooks.before_pipeline_run({}, catalog)
    events.emit("relabel_teacher", 0, {"calls": 3.0})
    hooks.on_pipeline_error(KeyError())
    events.emit("relabel_teacher", 0, {"calls": 9.0})  # after the end: nobody listens
    ledger = read_ledger(catalog.get(LEDGER).path)
    assert ledger["nodes"]["mine.search"]["seconds"] >= 0
    assert ledger["teacher"] == {"relabel": {"calls": 3.0}}
