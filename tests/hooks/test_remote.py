"""A teacher behind a URL is tried with the calls that the run's nodes declare."""

from types import SimpleNamespace
from typing import Any

import pytest
from kedro.pipeline import Pipeline

from gecko_kedro.catalog import ProjectCatalog
from gecko_kedro.hooks.remote import RemoteTeacherHooks
from gecko_kedro.pipeline_registry import register_pipelines

SCORES = ["query_log_likelihood", "label_log_likelihood"]


@pytest.fixture
def hooks(monkeypatch: pytest.MonkeyPatch) -> RemoteTeacherHooks:
    monkeypatch.setattr("gecko_kedro.teacher.http.teacher.HttpTeacher", lambda settings: settings)
    made = RemoteTeacherHooks()
    made._parameters = SimpleNamespace(  # type: ignore[assignment]
        teacher=SimpleNamespace(http=SimpleNamespace(check_at_start=True)),
        relabel=SimpleNamespace(rankers=["query_likelihood", "relevance", "retriever"]),
    )
    return made


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    calls: list[list[str]] = []

    def check(teacher: Any, wanted: list[str]) -> None:
        calls.append(wanted)

    monkeypatch.setattr("gecko_kedro.teacher.check.check_teacher", check)
    return calls


@pytest.mark.parametrize(
    ("pipeline", "calls"),
    [
        ("synthesize", [["generate"]]), ("relabel", [SCORES]), ("label_quality", [SCORES]),
        ("estimate", [["generate", *SCORES]]), ("__default__", [["generate", *SCORES]]),
        ("train", []),
    ],
)  # fmt: skip
def test_only_the_calls_of_the_run_are_tried(
    hooks: RemoteTeacherHooks, asked: list[list[str]], pipeline: str, calls: list[list[str]]
) -> None:
    hooks.before_pipeline_run({}, register_pipelines()[pipeline], ProjectCatalog())
    assert asked == calls


def test_every_teacher_that_a_node_takes_is_tried(
    hooks: RemoteTeacherHooks, asked: list[list[str]]
) -> None:
    every = sum(register_pipelines().values(), Pipeline([]))
    takers = [node for node in every.nodes if any(n.endswith("_teacher") for n in node.inputs)]
    for taker in takers:
        hooks.before_pipeline_run({}, Pipeline([taker]), ProjectCatalog())
    assert len(asked) == len(takers) >= 4
