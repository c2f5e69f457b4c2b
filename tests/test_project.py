"""Conventions of the project that a reader relies on."""

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml
from kedro.framework.project import configure_project
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.io.catalog_config_resolver import CatalogConfigResolver
from kedro.pipeline import Pipeline

from gecko_kedro.pipeline_registry import EXTRAS, STAGES, SUMS, register_pipelines
from gecko_kedro.pipelines._namespace import sum_up

PROJECT = Path(__file__).parents[1]
LAYERS = {
    "01_raw", "02_intermediate", "03_primary", "04_feature", "05_model_input", "06_models",
    "07_model_output", "08_reporting",
}  # fmt: skip


@pytest.fixture(scope="module")
def pipelines() -> dict[str, Pipeline]:
    return register_pipelines()


@pytest.fixture(scope="module")
def used(pipelines: dict[str, Pipeline]) -> set[str]:
    names = {name for pipeline in pipelines.values() for name in pipeline.datasets()}
    return {name for name in names if name != "parameters" and not is_parameter_block(name)}


@pytest.fixture(scope="module")
def catalog() -> CatalogConfigResolver:
    found: dict[str, dict[str, Any]] = {}
    for file in sorted((PROJECT / "conf/base").glob("catalog/*.yml")):
        text = re.sub(r"\$\{\w+:([^}]+)\}", r"\1", file.read_text("utf-8"))  # ${globals:data}: data
        found |= yaml.safe_load(text)
    return CatalogConfigResolver(found, default_runtime_patterns={})


@pytest.fixture(scope="module")
def entries(used: set[str], catalog: CatalogConfigResolver) -> dict[str, dict[str, Any]]:
    """The entry of each dataset that is used, by its own name or from a pattern."""
    return {name: catalog.resolve_pattern(name) for name in used}


def is_parameter_block(name: str) -> bool:
    """What a node is told, but for the catalog's own entries (prompts, working folders)."""
    return name.startswith("params:") and not name.startswith(("params:files.", "params:work."))


def test_the_six_stages_and_their_sums_are_there(pipelines: dict[str, Pipeline]) -> None:
    assert set(pipelines) == {*STAGES, *SUMS, *EXTRAS}
    assert set(pipelines["__default__"].nodes) == {
        node for stage in STAGES for node in pipelines[stage].nodes
    }


@pytest.mark.parametrize("stage", [*STAGES, *EXTRAS])
def test_no_node_but_the_ablation_has_nine_inputs(
    pipelines: dict[str, Pipeline], stage: str
) -> None:
    nodes = [node for node in pipelines[stage].nodes if node.func is not sum_up]
    wide = {node.name for node in nodes if len(node.inputs) >= 9}
    assert wide <= {"ablate.run_ablations"}


@pytest.mark.parametrize("stage", [*STAGES, *EXTRAS])
def test_a_stage_has_at_most_ten_nodes(pipelines: dict[str, Pipeline], stage: str) -> None:
    nodes = [node for node in pipelines[stage].nodes if node.func is not sum_up]
    assert 1 <= len(nodes) <= 10


@pytest.mark.parametrize("name", SUMS)
def test_at_most_fifteen_datasets_stand_between_the_folded_stages(
    pipelines: dict[str, Pipeline], name: str
) -> None:
    shown = between_folded_stages(pipelines[name])
    assert len(shown) <= 15, sorted(shown)
    assert not any("." in dataset for dataset in shown)


def between_folded_stages(pipeline: Pipeline) -> set[str]:
    """What Kedro-Viz shows beside the boxes: all that a stage does not both make and use up."""
    made, read = defaultdict(set), defaultdict(set)
    for node in pipeline.nodes:
        for one in node.outputs:
            made[one.partition("@")[0]].add(node.namespace)
        for one in node.inputs:
            read[one.partition("@")[0]].add(node.namespace)
    return {
        one for one in made.keys() | read.keys()
        if one != "parameters" and not one.startswith("params:") and made[one] != read[one]
    }  # fmt: skip


def test_what_is_read_beside_a_dataset_is_there_once_that_is(
    pipelines: dict[str, Pipeline], entries: dict[str, dict[str, Any]]
) -> None:
    """``a@b`` may be the file of another node: then the maker of ``a`` must come after that one."""
    everything = sum(pipelines.values(), Pipeline([]))
    files = {place(entries[name]): name for name in everything.all_outputs()}
    for name in {name for name in everything.inputs() | everything.all_inputs() if "@" in name}:
        base = name.partition("@")[0]
        maker = files.get(place(entries[name]))
        if (
            place(entries[name]) is None or maker is None or base == "side_findings"
        ):  # of pipelines that need not have run
            continue
        before = everything.to_outputs(base).all_outputs()
        assert maker in before, f"{name} is the file of {maker}, which is no part of {base}"


def layer_of_the_file(entry: dict[str, Any]) -> str:
    """The entry's own but for a reading beside another dataset: that one's layer is not its own."""
    folder = str(place(entry)).split("/")[1:2]
    return folder[0] if folder and folder[0] in LAYERS else entry["metadata"]["kedro-viz"]["layer"]


def place(entry: dict[str, Any]) -> str | None:
    return entry.get("filepath") or entry.get("path")


def test_a_run_can_start_at_every_node(
    pipelines: dict[str, Pipeline], entries: dict[str, dict[str, Any]]
) -> None:
    """Once all files are there: nothing that a node makes and another reads is in memory only."""
    for pipeline in pipelines.values():
        made = pipeline.all_outputs()
        for node in pipeline.nodes:
            start = pipeline.from_nodes(node.name)
            for name in start.inputs() & made:
                assert "MemoryDataset" not in entries[name]["type"], (node.name, name)


def test_a_stage_can_be_entered_without_what_it_only_sums_up(
    pipelines: dict[str, Pipeline], entries: dict[str, dict[str, Any]]
) -> None:
    for pipeline in pipelines.values():
        for node in pipeline.nodes:
            for name in node.inputs if node.func is sum_up else ():
                assert entries[name].get("optional") is True, name


@pytest.mark.parametrize("stage", [*STAGES, *EXTRAS])
def test_nodes_are_named_after_their_functions(pipelines: dict[str, Pipeline], stage: str) -> None:
    for node in pipelines[stage].nodes:
        assert node.name == f"{stage}.{node.func.__name__}"


def test_every_dataset_is_in_the_catalog(used: set[str], catalog: CatalogConfigResolver) -> None:
    known = {name for name in used if name in catalog.config or catalog.match_dataset_pattern(name)}
    assert known == used


def test_every_entry_and_every_pattern_is_used(
    used: set[str], catalog: CatalogConfigResolver
) -> None:
    patterns = {catalog.match_dataset_pattern(name) for name in used - catalog.config.keys()}
    listed = set(catalog.list_patterns()) - {"{default}"}  # Kedro's own: in memory
    assert {name for name in catalog.config if not catalog.is_pattern(name)} <= used
    assert listed == patterns


def test_readings_of_one_dataset_have_one_layer(entries: dict[str, dict[str, Any]]) -> None:
    """Kedro-Viz does not start where they differ."""
    layers = defaultdict(set)
    for name, entry in entries.items():
        layers[name.partition("@")[0]].add(entry["metadata"]["kedro-viz"]["layer"])
    assert [name for name, found in layers.items() if len(found) > 1] == []


def test_every_entry_has_the_layer_of_its_file() -> None:
    for file in sorted((PROJECT / "conf/base").glob("catalog/*.yml")):
        layer = file.stem
        assert layer in LAYERS
        for name, entry in yaml.safe_load(file.read_text("utf-8")).items():
            assert entry["metadata"]["kedro-viz"]["layer"] == layer, name


def test_entries_write_into_the_folder_of_their_layer(
    pipelines: dict[str, Pipeline], entries: dict[str, dict[str, Any]]
) -> None:
    for name in {name for pipeline in pipelines.values() for name in pipeline.all_outputs()}:
        where = place(entries[name])
        if where:
            layer = entries[name]["metadata"]["kedro-viz"]["layer"]
            assert where.startswith(f"data/{layer}/"), name


def test_data_flow_from_layer_to_layer_in_one_direction(
    pipelines: dict[str, Pipeline], entries: dict[str, dict[str, Any]]
) -> None:
    layer = {name: layer_of_the_file(entry) for name, entry in entries.items()}
    for node in {node for pipeline in pipelines.values() for node in pipeline.nodes}:
        read = [layer[name] for name in node.inputs if name in layer]
        for name in node.outputs:
            assert layer[name] >= max(read, default=layer[name]), f"{node.name} -> {name}"


def test_the_catalog_can_be_built() -> None:
    bootstrap_project(PROJECT)
    configure_project("gecko_kedro")
    with KedroSession.create(project_path=PROJECT) as session:
        catalog = session.load_context().catalog
    assert "fret" in catalog


def test_the_version_is_the_same_everywhere() -> None:
    import gecko_kedro

    text = (PROJECT / "pyproject.toml").read_text("utf-8")
    match = re.search(r'^version = "(.+)"$', text, re.MULTILINE)
    assert match is not None
    assert match[1] == gecko_kedro.__version__
    assert f"## {gecko_kedro.__version__}" in (PROJECT / "CHANGELOG.md").read_text("utf-8")


def test_every_relative_link_of_the_documents_leads_somewhere() -> None:
    for document in [*PROJECT.glob("*.md"), *(PROJECT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text("utf-8")):
            if not target.startswith(("http:", "https:", "mailto:")):
                assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_every_make_target_of_the_readme_exists() -> None:
    makefile = (PROJECT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    mentioned = set(re.findall(r"`make ([a-z-]+)", (PROJECT / "README.md").read_text("utf-8")))
    assert mentioned
    assert mentioned <= targets
