"""Which backend the settings give, and what is said where it is not installed."""

import importlib.util
from pathlib import Path

import pytest
import yaml

from gecko_kedro.base.errors import InputError
from gecko_kedro.teacher import TeacherSettings, build, build_teacher, teacher_name
from tests.support.tiny_llm import save_tiny_llm

BASE = Path(__file__).parents[2] / "conf/base/parameters/teacher.yml"


def settings(backend: str, name: str) -> TeacherSettings:
    content = yaml.safe_load(BASE.read_text("utf-8"))["teacher"]
    content["backend"], content["model"]["name"] = backend, name
    return TeacherSettings.model_validate(content)


def test_a_model_in_a_folder_is_built_with_a_store(tmp_path: Path) -> None:
    folder = save_tiny_llm(tmp_path / "model")
    chosen = settings("transformers", str(folder))
    teacher = build_teacher(chosen, texts=[], store=tmp_path / "store")
    assert teacher_name(chosen) == f"{folder} (transformers)"
    assert str(folder) in teacher.identity
    teacher.close()


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vLLM is installed")
def test_without_vllm_the_line_that_installs_it_is_shown(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"pip install 'gecko-kedro\[vllm\]'"):
        build_teacher(settings("vllm", "any"), texts=[], store=tmp_path)


def test_the_embedded_model_is_unpacked_beside_the_replies_and_never_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []

    def unpacked(folder: Path) -> Path:
        asked.append(folder)
        return save_tiny_llm(tmp_path / "model")

    monkeypatch.setattr(build, "embedded_model", unpacked)
    chosen = TeacherSettings(backend="transformers")
    for models in (None, tmp_path / "elsewhere"):
        build_teacher(chosen, texts=[], store=tmp_path / "store", models=models).close()
    assert asked == [tmp_path / "store/models", tmp_path / "elsewhere"]
