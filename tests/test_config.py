"""What the configuration fills in before a run sees it."""

from pathlib import Path
from typing import Any

import pytest

from gecko_kedro.config import ParameterAwareConfigLoader, filled_in

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
    parameters: dict[str, Any] = {
        "teacher": {"backend": backend}, "relabel": {"rankers": given, "fuse": {"k": 0}}
    }  # fmt: skip
    assert filled_in(parameters)["relabel"] == {"rankers": expected, "fuse": {"k": 0}}
    assert parameters["relabel"]["rankers"] is given


def test_what_is_no_block_is_left_to_the_check() -> None:
    assert filled_in({"relabel": 7, "teacher": {}}) == {"relabel": 7, "teacher": {}}


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
