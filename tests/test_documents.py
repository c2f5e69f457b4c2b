"""Parameters that the documents and profiles name are there, by that name."""

import re
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from gecko_kedro.params import Parameters
from gecko_kedro.pipeline_registry import register_pipelines

PROJECT = Path(__file__).parents[1]
DOCUMENTS = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]
FILES = (".jsonl", ".py", ".yml", ".md", ".parquet", ".html", ".json", ".tsv", ".csv", ".txt")
BLOCKS = "|".join(Parameters.model_fields)
NAME = re.compile(rf"(?<![\w./=-])((?:{BLOCKS})(?:\.[a-z_0-9]+)+)(?![\w(/*])")


@pytest.fixture(scope="module")
def others() -> set[str]:
    """Nodes and datasets, which are named in the same way."""
    pipelines = register_pipelines().values()
    nodes = {node.name for one in pipelines for node in one.nodes}
    return nodes | {name for one in pipelines for name in one.datasets()}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_parameter_of_a_document_exists(document: Path, others: set[str]) -> None:
    named = set(NAME.findall(code_of(document.read_text("utf-8"))))
    unknown = {name for name in named - others if not name.endswith(FILES) and not is_known(name)}
    assert not unknown


def code_of(text: str) -> str:
    """What stands in backticks or in indented blocks; Python code has names of its own."""
    text = re.sub(r"```python\n.*?```", "", text, flags=re.DOTALL)
    spans = re.findall(r"```.*?```|`[^`\n]+`", text, flags=re.DOTALL)
    return "\n".join([*spans, *re.findall(r"^ {4}.*$", text, flags=re.MULTILINE)])


def is_known(name: str) -> bool:
    model: object = Parameters
    for part in name.split("."):
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            return True  # below a mapping or list, whose names are the user's
        if part not in model.model_fields:
            return False
        annotation = model.model_fields[part].annotation
        model = next(models_in(annotation), annotation)
    return True


def models_in(annotation: object) -> Iterator[type[BaseModel]]:
    """The settings class of ``X | None``; a list or mapping of settings has none."""
    if typing.get_origin(annotation) in (list, tuple, dict):
        return
    for part in typing.get_args(annotation):
        if isinstance(part, type) and issubclass(part, BaseModel):
            yield part


def test_a_wrong_name_would_be_found() -> None:
    assert is_known("mine.search.n_candidates")
    assert is_known("encoder.train.lora.rank")
    assert not is_known("mine.n_candidates")
    assert NAME.findall("`mine.n_candidates=40`") == ["mine.n_candidates"]
