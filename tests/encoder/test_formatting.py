"""The texts of appendix B, letter by letter."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gecko_kedro.encoder.formatting import (
    CONCATENATED,
    GECKO,
    Templates,
    own_templates,
    prompts_by_name,
    render_passage,
    render_query,
)


def test_a_query_and_a_passage_have_the_papers_form() -> None:
    assert render_query("fact checking", "is it so?") == "task: fact checking | query: is it so?"
    assert render_passage("Tides", "The moon.") == "title: Tides | text: The moon."


@pytest.mark.parametrize("title", [None, "", "  \n"])
def test_a_passage_without_title_says_none(title: str | None) -> None:
    assert render_passage(title, "The moon.") == "title: none | text: The moon."


@given(st.text(), st.text(), st.text())
def test_braces_and_template_words_in_texts_stay_as_they_are(
    task: str, title: str, text: str
) -> None:
    for odd in (text, "{text}{title}{task}" + text):
        assert render_query(task, odd).endswith(odd)
        assert render_passage(title, odd).endswith(odd)
    assert render_passage("{text}", "x") == "title: {text} | text: x"


def test_plain_templates_add_nothing() -> None:
    plain = Templates(query="{text}", passage="{text}", missing_title="")
    assert render_query("any", "text", templates=plain) == "text"
    assert render_passage("title", "text", templates=plain) == "text"


def test_prompts_put_before_a_text_give_the_rendered_text() -> None:
    prompts = prompts_by_name(["question answering", "classification"], "search result")
    assert prompts["query"] + "x" == render_query("search result", "x")
    assert prompts["document"] + "x" == render_passage(None, "x")
    assert prompts["classification"] + "x" == render_query("classification", "x")
    assert set(prompts) == {
        "query", "document", "classification", "question answering", "search result"
    }  # fmt: skip


def test_a_template_that_does_not_end_in_the_text_is_refused() -> None:
    with pytest.raises(ValidationError):
        Templates(query="{text} ({task})", passage="{text}", missing_title="")


def test_no_blank_is_left_where_nothing_stands_for_the_title() -> None:
    assert render_passage(None, "text", templates=CONCATENATED) == "text"
    assert render_passage(" ", "text", templates=CONCATENATED) == "text"
    assert render_passage("title", "text", templates=CONCATENATED) == "title text"


def test_a_model_without_prompts_reads_the_bare_texts() -> None:
    own = own_templates({"query": "", "document": ""})
    assert render_query("fact checking", "is it so?", templates=own) == "is it so?"
    assert render_passage(None, "The moon.", templates=own) == "The moon."
    assert render_passage("Tides", "The moon.", templates=own) == "Tides The moon."
    assert own_templates({}) == own


@pytest.mark.parametrize("side", ["document", "passage"])
def test_a_model_reads_the_prompts_that_it_brings(side: str) -> None:
    own = own_templates({"query": "query: ", side: "passage: "})
    assert render_query("fact checking", "is it so?", templates=own) == "query: is it so?"
    assert render_passage("Tides", "The moon.", templates=own) == "passage: Tides The moon."


def test_a_model_of_this_project_keeps_the_templates() -> None:
    prompts = prompts_by_name(["question answering"], "search result")
    assert own_templates(prompts) is GECKO
