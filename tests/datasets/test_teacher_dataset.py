"""A node that takes a teacher is told what it asks with, and nothing is asked before."""

from pathlib import Path
from typing import Any

from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline

from gecko_kedro.datasets import TeacherDataset
from gecko_kedro.hooks.fingerprints import Fingerprints
from tests.support.conf import CONF

NAME = "params:work.relabel_teacher"
PROMPTS = (CONF / "prompts/gecko.yml").read_text("utf-8")


def dataset(folder: Path, prompts: str = PROMPTS, **settings: Any) -> TeacherDataset:
    (folder / "prompts.yml").write_text(prompts, "utf-8")
    return TeacherDataset(
        settings=settings, engine={}, prompts=str(folder / "prompts.yml"), store=str(folder)
    )


def parts(teacher: TeacherDataset) -> dict[str, Any]:
    """What the output of a node that takes ``teacher`` is made from."""
    pipeline = Pipeline([Node(lambda teacher: None, NAME, "judged", name="judge")])
    return Fingerprints(pipeline, DataCatalog({NAME: teacher})).of("judged").parts


def test_it_is_loaded_without_asking_or_writing_anything(tmp_path: Path) -> None:
    teacher = dataset(tmp_path, backend="http").load()
    assert teacher.teacher.backend == "http"
    assert teacher.prompts.versions().keys() == {"synthesis", "query_likelihood", "relevance"}
    assert [file.name for file in tmp_path.iterdir()] == ["prompts.yml"]


def test_settings_and_prompts_make_another_result_speed_and_place_do_not(tmp_path: Path) -> None:
    before = parts(dataset(tmp_path))
    assert parts(dataset(tmp_path, batch_size=3)) == before
    (tmp_path / "elsewhere").mkdir()
    assert parts(dataset(tmp_path / "elsewhere")) == before
    other = parts(dataset(tmp_path, backend="http"))
    assert {name for name in other if other[name] != before[name]} == {f"{NAME}.teacher.backend"}
    edited = parts(dataset(tmp_path, PROMPTS.replace("version: ", "version: new ", 1)))
    assert next(name for name in edited if edited[name] != before[name]).startswith(
        f"{NAME}.prompts."
    )
