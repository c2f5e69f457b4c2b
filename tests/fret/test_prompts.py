"""The prompts as data: rendering, versions, and the file in conf/prompts."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from gecko_kedro.fret.controls import Wanted, length_of
from gecko_kedro.fret.prompts import Prompts
from gecko_kedro.fret.reply import Reply, parse_reply
from gecko_kedro.fret.synthesis import check_reply
from gecko_kedro.fret.tasks import TASK_NAMES, short_task_name

PROMPTS_FILE = Path(__file__).resolve().parents[2] / "conf" / "prompts" / "gecko.yml"


def content() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(PROMPTS_FILE.read_text(encoding="utf-8"))
    return loaded


def test_each_kind_of_prompt_ends_where_the_teacher_goes_on() -> None:
    prompts = Prompts.model_validate(content())
    synthesis = prompts.synthesis.render("the passage", "a title")
    likelihood = prompts.query_likelihood_prompt("the passage", None)
    relevance = prompts.relevance_prompt("a query", "the passage", "a title")
    assert synthesis.text.endswith("Title: a title\nPassage: the passage\nAnswer:")
    assert likelihood.text.endswith("\n\nPassage: the passage\nQuery:")
    assert prompts.query_likelihood.continuation("a query") == " a query"
    assert relevance.text.endswith("Passage: the passage\nCandidate query: a query\nRelevance:")
    assert prompts.relevance.continuations == (" 0", " 1", " 2", " 3")
    assert dict(relevance.fields) == {
        "passage": "the passage",
        "title": "a title",
        "query": "a query",
    }


def test_the_few_shot_prefix_is_the_same_for_every_passage() -> None:
    prompts = Prompts.model_validate(content())
    one, other = (prompts.query_likelihood_prompt(text).text for text in ("one", "other"))
    assert one.removesuffix("one\nQuery:") == other.removesuffix("other\nQuery:")


def test_the_examples_of_synthesis_pass_their_own_checks_and_cover_many_tasks() -> None:
    examples = Prompts.model_validate(content()).synthesis.examples
    for example in examples:
        reply = check_reply(Reply(task=example.task, query=example.query), passage=example.passage)
        assert isinstance(reply, Reply), (example.query, reply)
    assert len({example.task for example in examples}) == len(examples)
    # Every kind of the inventory has an example, and its task maps to the kind's short name.
    inventory = Prompts.model_validate(content()).synthesis.inventory
    assert {example.wanted.task for example in examples} == set(inventory.task)
    for example in examples:
        kind = inventory.task[str(example.wanted.task)]
        assert short_task_name(example.task) == kind.task_name, example.task
        assert example.wanted.length in kind.lengths
        assert example.wanted.length == length_of(example.query), example.query


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
    apart = {"shared_ranking_prefix": False}
    before, edited = Prompts.model_validate(content() | apart), content() | apart
    place = edited[kind] if part in edited[kind] else edited[kind]["examples"][-1]
    place[part] += " x"
    after = Prompts.model_validate(edited)
    for name, version in before.versions().items():
        assert (after.versions()[name] != version) == (name == kind)


def test_rankers_that_share_a_prefix_share_its_versions_too() -> None:
    edited = content()
    edited["relevance"]["instruction"] += " x"
    before, after = (Prompts.model_validate(c).versions() for c in (content(), edited))
    assert {name for name in before if before[name] != after[name]} == {
        "query_likelihood", "relevance",
    }  # fmt: skip


def test_both_rankers_read_the_same_text_up_to_the_end_of_the_passage() -> None:
    shared = Prompts.model_validate(content())
    first = shared.query_likelihood_prompt("the passage", "a title").text
    second = shared.relevance_prompt("a query", "the passage", "a title").text
    assert first.removesuffix("Query:") == second.removesuffix(
        "Candidate query: a query\nRelevance:"
    )
    apart = Prompts.model_validate(content() | {"shared_ranking_prefix": False})
    assert "Relevance:" not in apart.query_likelihood_prompt("the passage").text
    assert "\nQuery:" not in apart.relevance_prompt("a query", "the passage").text


def test_what_is_wanted_stands_last_and_only_where_something_is() -> None:
    synthesis = Prompts.model_validate(content()).synthesis
    free, wanted = synthesis.render("p"), synthesis.render("p", None, Wanted(length="keywords"))
    assert "Wanted" not in free.text
    assert wanted.text.endswith("Passage: p\nWanted: two to five keywords\nAnswer:")
    assert "question answering" not in wanted.text.rpartition("Passage: p")[2]
    assert dict(wanted.fields) == {"passage": "p", "title": "", "wanted_length": "keywords"}
    assert wanted.reply_schema is not None
    assert wanted.reply_schema["required"] == ["task", "query"]


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("relevance", {"labels": ["0"]}),
        ("relevance", {"labels": ["0", "0"]}),
        ("relevance", {"labels": ["low", "high"]}),
        ("synthesis", {"examples": []}),
        ("synthesis", {"temperature": 1}),
        ("synthesis", {"inventory": {"task": {}, "length": {}, "difficulty": {}}}),
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
        ("Given a request to customer support, find the help page.", "search result"),
        ("Given an argument, find an argument against it.", "search result"),
        ("Given a one-sentence summary, find the document that it summarises.", "search result"),
        ("", "search result"),
        ("  Fact   Checking ", "fact checking"),
    ],
)
def test_free_form_tasks_get_the_short_names_of_table_9(task: str, name: str) -> None:
    assert short_task_name(task) == name


def test_a_short_name_maps_to_itself() -> None:
    assert [short_task_name(name) for name in TASK_NAMES] == list(TASK_NAMES)
