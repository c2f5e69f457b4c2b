"""Which outputs another value of a parameter makes stale: the reviewed table holds."""

import yaml
from pydantic import BaseModel, Field

from gecko_kedro.base.settings import EXECUTION, Settings
from gecko_kedro.hooks.fingerprints import leaves
from tests.support.stale_table import REVIEWED, StaleTable, all_leaves


class Inner(Settings):
    pool: int = 3
    threads: int = Field(default=1, json_schema_extra=EXECUTION)


class Outer(Settings):
    inner: Inner = Inner()
    columns: dict[str, str] = Field(default={"text": "body"})
    lora: Inner | None = None
    machine: Inner = Field(default=Inner(), json_schema_extra=EXECUTION)


def names(settings: BaseModel) -> list[str]:
    return [name for name, _ in leaves("mine", settings)]


def test_nested_settings_are_flattened_to_the_names_that_a_user_sets() -> None:
    assert names(Outer()) == ["mine.inner.pool", "mine.columns.text", "mine.lora"]
    assert names(Outer(lora=Inner(), columns={})) == [
        "mine.inner.pool", "mine.lora.pool",
    ]  # fmt: skip
    assert list(all_leaves(Outer())) == [
        "inner.pool", "inner.threads", "columns", "lora", "machine.pool", "machine.threads",
    ]  # fmt: skip
    assert list(all_leaves(Outer(), counted=True)) == ["inner.pool", "columns", "lora"]


def test_the_table_is_the_reviewed_one(table: StaleTable) -> None:
    said = "look at the difference; if it is meant: python -m tests.support.stale_table"
    assert table.text() == REVIEWED.read_text("utf-8"), said


def test_the_reviewed_table_can_be_read_by_a_program(table: StaleTable) -> None:
    content = yaml.safe_load(REVIEWED.read_text("utf-8"))
    listed = content["exempt"] + [
        leaf for group in content["parameters"] for leaf in group["leaves"]
    ]
    assert sorted(listed) == sorted(all_leaves(table.parameters))


def test_what_the_catalog_gives_to_an_output_is_taken_by_the_node_that_makes_it(
    table: StaleTable,
) -> None:
    """Else another value would change the output and nobody would notice."""
    for node in table.pipeline.nodes:
        for output in node.outputs:
            for parameter in table.read_by_catalog(output):
                leaf = table.leaf(parameter)
                assert leaf in table.exempt() or node in table.readers[leaf], (output, parameter)
