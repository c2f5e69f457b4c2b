import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gecko_kedro.base.errors import InputError
from gecko_kedro.corpus.pairs import (
    PAIR_KINDS,
    collect_pairs,
    is_dotted_name,
    name_words,
)
from gecko_kedro.corpus.schemas import PAIR_SCHEMA, PASSAGE_SCHEMA, QUARANTINE_SCHEMA

REST = (
    "The rest goes on and on, about water and reeds and stones, "
    "until it has told in full what lives in a pond."
)


def passages(*rows: dict[str, object]) -> pl.DataFrame:
    empty = {"title": None, "summary": None, "text": REST, "group": "g", "start": 0, "end": 9}
    full = [
        {"passage_id": f"p{n}", "doc_id": f"p{n}", **empty, **row} for n, row in enumerate(rows)
    ]
    return pl.DataFrame(full, schema=PASSAGE_SCHEMA)


def queries(table: pl.DataFrame, *kinds: str) -> list[tuple[str, str]]:
    return collect_pairs(table, kinds=kinds).rows.select("kind", "query").rows()


def test_each_kind_takes_its_query_from_its_place() -> None:
    table = passages(
        {"title": "pond.frogs.TreeFrog", "summary": "A frog in a tree.", "text": "Names."},
        {"title": "On ponds", "text": "Titles."},
        {"text": f"Ponds are small lakes. {REST}"},
    )
    pairs = collect_pairs(table, kinds=PAIR_KINDS).rows
    assert pairs.schema == PAIR_SCHEMA
    assert pairs.select("pair_id", "query", "text", "passage_id", "group").rows() == [
        ("summary_body:p0", "A frog in a tree.", "Names.", "p0", "pond.frogs"),
        ("title_body:p1", "On ponds", "Titles.", "p1", "g"),
        ("name_body:p0", "pond frogs tree frog", "Names.", "p0", "pond.frogs"),
        ("lead_body:p2", "Ponds are small lakes.", REST, "p2", "g"),
    ]
    assert set(pairs["task"]) == {"search result"}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("json.dumps", "json dumps"),
        (
            "sklearn.decomposition._pca.PCA.fit_transform",
            "sklearn decomposition pca pca fit transform",
        ),
        ("http.HTTPServer.__init__", "http http server init"),
        ("torch.nn.Conv2d", "torch nn conv2d"),
        ("módulo.función", "módulo función"),
    ],
)
def test_the_words_of_a_name_are_its_parts(name: str, words: str) -> None:
    assert is_dotted_name(name)
    assert name_words(name) == words


@pytest.mark.parametrize("title", ["word", "two words", "3.14", "e.g.", "a..b", "a.b c", ""])
def test_titles_of_words_are_no_dotted_names(title: str) -> None:
    assert not is_dotted_name(title)


def test_only_the_beginning_of_a_document_answers_to_its_summary() -> None:
    table = passages({"summary": "About all of it.", "start": 40, "end": 90})
    assert queries(table, "summary_body") == []


def test_a_query_is_used_once_and_a_text_once_in_each_kind() -> None:
    table = passages(
        {"title": "a.b", "summary": "The same line.", "text": "One."},
        {"title": "a.c", "summary": "the  SAME line.", "text": "Two."},
        {"title": "a.d", "summary": "Another line.", "text": "one."},
    )
    result = collect_pairs(table, kinds=["summary_body", "name_body"])
    assert result.rows["pair_id"].to_list() == ["summary_body:p0", "name_body:p0", "name_body:p1"]
    assert result.quarantine.schema == QUARANTINE_SCHEMA
    assert result.quarantine.select("row_id", "reason").rows() == [
        ("summary_body:p1", "duplicate_query"),
        ("summary_body:p2", "duplicate_text"),
        ("name_body:p2", "duplicate_text"),
    ]
    assert result.counts == {
        "pairs": 3, "summary_body": 1, "name_body": 2,
        "quarantined": 3, "duplicate_query": 1, "duplicate_text": 2,
    }  # fmt: skip


def test_a_long_query_that_its_text_repeats_teaches_nothing() -> None:
    table = passages(
        {"summary": "Frogs live in small ponds.", "text": "Here: frogs live\nin small ponds. So."},
        {
            "summary": "Frogs live there.",
            "text": "Frogs live there. Short ones are bound to occur.",
        },
    )
    result = collect_pairs(table, kinds=["summary_body"])
    assert result.rows["passage_id"].to_list() == ["p1"]
    assert result.counts["query_in_text"] == 1


@pytest.mark.parametrize(
    "row",
    [
        {"title": "Titled", "text": f"Ponds are small lakes. {REST}"},
        {"summary": "Has a summary.", "text": f"Ponds are small lakes. {REST}"},
        {"text": f"Too short. {REST}"},
        {"text": "Ponds are small lakes. The rest is short."},
        {"text": "no border at all " * 20},
    ],
)
def test_a_lead_needs_an_untitled_text_and_a_rest(row: dict[str, object]) -> None:
    assert queries(passages(row), "lead_body") == []


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "title": st.sampled_from([None, "a.b", "a.c", "Words of a title", "Frogs"]),
                "summary": st.sampled_from(
                    [None, "One line.", "one  LINE.", "Frogs in a small pond."]
                ),
                "text": st.sampled_from(
                    [REST, REST.upper(), "Say: frogs in a small pond. Yes.", "x"]
                ),
            }
        ),
        max_size=12,
    )
)
def test_every_candidate_is_a_pair_or_in_quarantine(rows: list[dict[str, object]]) -> None:
    result = collect_pairs(passages(*rows), kinds=["summary_body", "title_body", "name_body"])
    candidates = sum(bool(row["summary"]) + bool(row["title"]) for row in rows)
    assert result.rows.height + result.quarantine.height == candidates
    normal = [" ".join(query.casefold().split()) for query in result.rows["query"]]
    assert len(set(normal)) == len(normal)
    assert result.rows["pair_id"].is_unique().all()


@pytest.mark.parametrize("kinds", [[], ["summary_body", "summery_body"]])
def test_unknown_kinds_are_refused(kinds: list[str]) -> None:
    with pytest.raises(InputError, match="lead_body"):
        collect_pairs(passages({}), kinds=kinds)
