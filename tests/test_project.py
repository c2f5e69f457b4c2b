"""Conventions of the project that a reader relies on."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from kedro.framework.project import configure_project
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.pipeline import Pipeline

from gecko_kedro.pipeline_registry import EXTRAS, STAGES, SUMS, register_pipelines

PROJECT = Path(__file__).parents[1]
LAYERS = {
    "01_raw", "02_intermediate", "03_primary", "04_feature", "05_model_input", "06_models",
    "07_model_output", "08_reporting",
}  # fmt: skip


@pytest.fixture(scope="module")
def pipelines() -> dict[str, Pipeline]:
    return register_pipelines()


@pytest.fixture(scope="module")
def entries() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for file in sorted((PROJECT / "conf/base").glob("catalog/*.yml")):
        found |= yaml.safe_load(file.read_text("utf-8"))
    return found


def test_the_six_stages_and_their_sums_are_there(pipelines: dict[str, Pipeline]) -> None:
    assert set(pipelines) == {*STAGES, *SUMS, *EXTRAS}
    assert set(pipelines["__default__"].nodes) == {
        node for stage in STAGES for node in pipelines[stage].nodes
    }


@pytest.mark.parametrize("stage", [*STAGES, *EXTRAS])
def test_no_node_but_the_ablation_has_nine_inputs(
    pipelines: dict[str, Pipeline], stage: str
) -> None:
    wide = {node.name for node in pipelines[stage].nodes if len(node.inputs) >= 9}
    assert wide <= {"ablate.run_ablations"}


@pytest.mark.parametrize("stage", [*STAGES, *EXTRAS])
def test_a_stage_has_at_most_ten_nodes(pipelines: dict[str, Pipeline], stage: str) -> None:
    assert 1 <= len(pipelines[stage].nodes) <= 10


@pytest.mark.parametrize("stage", [*STAGES, *EXTRAS])
def test_nodes_are_named_after_their_functions(pipelines: dict[str, Pipeline], stage: str) -> None:
    for node in pipelines[stage].nodes:
        assert node.name == f"{stage}.{node.func.__name__}"


def test_every_dataset_is_in_the_catalog(
    pipelines: dict[str, Pipeline], entries: dict[str, Any]
) -> None:
    used = {
        name
        for pipeline in pipelines.values()
        for name in pipeline.datasets()
        if not name.startswith("params:") and name != "parameters"
    }
    assert used == set(entries)


def test_every_entry_has_the_layer_of_its_file(entries: dict[str, dict[str, Any]]) -> None:
    for file in sorted((PROJECT / "conf/base").glob("catalog/*.yml")):
        layer = file.stem
        assert layer in LAYERS
        for name, entry in yaml.safe_load(file.read_text("utf-8")).items():
            assert entry["metadata"]["kedro-viz"]["layer"] == layer, name


def test_entries_write_into_the_folder_of_their_layer(entries: dict[str, dict[str, Any]]) -> None:
    for name, entry in entries.items():
        place = entry.get("filepath") or entry.get("path")
        if place and not place.startswith("conf/"):
            layer = entry["metadata"]["kedro-viz"]["layer"]
            assert place.startswith(f"${{globals:data}}/{layer}/"), name


def test_data_flow_from_layer_to_layer_in_one_direction(
    pipelines: dict[str, Pipeline], entries: dict[str, dict[str, Any]]
) -> None:
    layer = {name: entry["metadata"]["kedro-viz"]["layer"] for name, entry in entries.items()}
    for node in {node for pipeline in pipelines.values() for node in pipeline.nodes}:
        read = [layer[name] for name in node.inputs if name in layer]
        for name in node.outputs:
            assert layer[name] >= max(read, default=""), f"{node.name} -> {name}"


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
