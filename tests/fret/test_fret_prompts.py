"""The prompts as data: rendering, versions, and the file in conf/prompts."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from gecko_kedro.fret.prompts import Prompts
from gecko_kedro.fret.synthesis import Reply, check_reply, parse_reply
from gecko_kedro.fret.tasks import TASK_NAMES, short_task_name

PROMPTS_FILE = Path(__file__).resolve().parents[2] / "conf" / "prompts" / "gecko.yml"


def content() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(PROMPTS_FILE.read_text(encoding="utf-8"))
    return loaded


def test_each_kind_of_prompt_ends_where_the_teacher_goes_on() -> None:
    prompts = Prompts.model_validate(content())
    synthesis = prompts.synthesis.render("the passage", "a title")
    likelihood = prompts.query_likelihood.render("the passage", None)
    relevance = prompts.relevance.render("a query", "the passage", "a title")
    assert synthesis.text.endswith("Title: a title\nPassage: the passage\nAnswer:")
    assert likelihood.text.endswith("\n\nPassage: the passage\nQuery:")
    assert prompts.query_likelihood.continuation("a query") == " a query"
    assert relevance.text.endswith("Passage: the passage\nQuery: a query\nRelevance:")
    assert prompts.relevance.continuations == (" 0", " 1", " 2", " 3")
    assert dict(relevance.fields) == {
        "passage": "the passage",
        "title": "a title",
        "query": "a query",
    }


def test_the_few_shot_prefix_is_the_same_for_every_passage() -> None:
    prompts = Prompts.model_validate(content())
    one, other = (prompts.query_likelihood.render(text).text for text in ("one", "other"))
    assert one.removesuffix("one\nQuery:") == other.removesuffix("other\nQuery:")


def test_the_examples_of_synthesis_pass_their_own_checks_and_cover_many_tasks() -> None:
    examples = Prompts.model_validate(content()).synthesis.examples
    for example in examples:
        reply = check_reply(Reply(task=example.task, query=example.query), passage=example.passage)
        assert isinstance(reply, Reply), (example.query, reply)
    assert len({example.task for example in examples}) == len(examples)
    assert len({short_task_name(example.task) for example in examples}) >= 4


def test_every_example_reply_parses_as_a_reply() -> None:
    text = Prompts.model_validate(content()).synthesis.render("p").text
    for line in text.splitlines():
        if line.startswith("Answer: "):
            reply, repaired = parse_reply(line)
            assert isinstance(reply, Reply)
            assert not repaired


@pytest.mark.parametrize("kind", ["synthesis", "query_likelihood", "relevance"])
@pytest.mark.parametrize("part", ["version", "instruction", "query", "passage"])
def test_any_edit_changes_the_version_of_its_own_prompt_only(kind: str, part: str) -> None:
    before, edited = Prompts.model_validate(content()), content()
    place = edited[kind] if part in edited[kind] else edited[kind]["examples"][-1]
    place[part] += " x"
    after = Prompts.model_validate(edited)
    for name in ("synthesis", "query_likelihood", "relevance"):
        changed = getattr(before, name).full_version != getattr(after, name).full_version
        assert changed == (name == kind)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("relevance", {"labels": ["0"]}),
        ("relevance", {"labels": ["0", "0"]}),
        ("relevance", {"labels": ["low", "high"]}),
        ("synthesis", {"examples": []}),
        ("synthesis", {"temperature": 1}),
    ],
)
def test_prompts_that_cannot_work_are_refused(kind: str, change: dict[str, Any]) -> None:
    wrong = content()
    wrong[kind] |= change
    with pytest.raises(ValidationError):
        Prompts.model_validate(wrong)


@pytest.mark.parametrize(
    ("task", "name"),
    [
        ("Given a query, find a passage that has the answer to the query", "question answering"),
        ("Given a query, find a passage that answers the question.", "question answering"),
        (
            "Given a query, find a passage that allows you to check whether the query is true "
            "or not.",
            "fact checking",
        ),
        (
            "Given a query, find a passage that might show up as a search result.",
            "search result",
        ),
        ("Given a question, find another question that asks the same thing", "semantic similarity"),
        ("Retrieve duplicate questions", "semantic similarity"),
        ("Classify the sentiment of the review", "classification"),
        ("Find me something", "search result"),
        ("", "search result"),
        ("  Fact   Checking ", "fact checking"),
    ],
)
def test_free_form_tasks_get_the_short_names_of_table_9(task: str, name: str) -> None:
    assert short_task_name(task) == name


def test_a_short_name_maps_to_itself() -> None:
    assert [short_task_name(name) for name in TASK_NAMES] == list(TASK_NAMES)
