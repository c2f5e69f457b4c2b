"""Replies that repeat their prompt or themselves are told from queries that somebody would type."""

import pytest
import yaml

from gecko_kedro.fret.echoes import Echoes, repeated_run
from gecko_kedro.fret.prompts import Prompts
from gecko_kedro.fret.reply import Reply
from tests.support.conf import CONF

PROMPTS = Prompts.model_validate(yaml.safe_load((CONF / "prompts/gecko.yml").read_text("utf-8")))
EXAMPLE = PROMPTS.synthesis.examples[0]
MARKOV = "A Markov model moves between states; the next one depends on the present one alone."
TASK = "Given a question, find a passage that has the answer to the question."


@pytest.fixture(scope="module")
def echoes() -> Echoes:
    return Echoes(PROMPTS.synthesis)


def reason(echoes: Echoes, query: str, *, task: str = TASK, passage: str = MARKOV) -> str | None:
    found = echoes(Reply(task=task, query=query), passage)
    return found.reason if found else None


@pytest.mark.parametrize("example", PROMPTS.synthesis.examples, ids=lambda e: e.query[:30])
def test_the_query_of_an_example_is_an_echo_in_any_case_and_punctuation(
    echoes: Echoes, example: object
) -> None:
    query = example.query  # type: ignore[attr-defined]
    assert reason(echoes, query) == "example_echo"
    assert reason(echoes, f'"{query.upper()}"?') == "example_echo"
    assert reason(echoes, "markov chain states", task=query) == "example_echo"


def test_the_task_of_an_example_may_come_back_but_not_as_the_query(echoes: Echoes) -> None:
    assert reason(echoes, "which state comes next", task=EXAMPLE.task) is None
    assert reason(echoes, EXAMPLE.task) == "example_echo"


@pytest.mark.parametrize(
    "query",
    [
        "Provide the requested dataset",
        "Write one query that fits the task and that the passage satisfies.",
        "write a query based on the passage",
        "Answer with one line of JSON",
        "Generate a list of relevant search keywords for the given passage",
        "a phrase typed into a search engine",
    ],
)
def test_orders_to_the_model_are_no_queries(echoes: Echoes, query: str) -> None:
    assert reason(echoes, query) == "instruction_echo"


@pytest.mark.parametrize(
    ("query", "passage"),
    [
        ("return the answer as json", "Encode the reply as JSON and give it back to the caller."),
        ("write a query to join two tables", "In SQL a query may join two tables by a key."),
        ("generate random numbers", "Numbers are drawn from a seeded generator."),
        ("list files in a directory", "Hand out the names of the files of a folder."),
        ("create a data set from a generator", "Builds a dataset out of any generator function."),
        ("question answering", "Question answering finds a passage for a question."),
        ("", MARKOV),
    ],
)
def test_queries_of_a_passage_about_such_things_are_kept(
    echoes: Echoes, query: str, passage: str
) -> None:
    assert reason(echoes, query, passage=passage) is None


@pytest.mark.parametrize(
    ("text", "run"),
    [
        ("the next state, the next state, the next state", ("the next state", 3)),
        ("what is it " + "and why is that so " * 6, ("and why is that so", 6)),
        ("no no no no no no", ("no", 6)),
        ("a b a b a b a b c", ("a b", 4)),
        ("状态 状态 状态 状态 状态", ("状态", 5)),
    ],
)
def test_words_that_stand_again_and_again_are_repetition(
    echoes: Echoes, text: str, run: tuple[str, int]
) -> None:
    assert repeated_run(text) == run
    assert reason(echoes, text) == "repetition"


@pytest.mark.parametrize(
    "text", ["", "a", "very very very old", "bye bye", "a b a b", "one two three one two four"]
)
def test_speech_is_no_repetition(text: str) -> None:
    assert repeated_run(text) is None
