"""Converters into the unified format, and what happens to bad rows."""

import json

import polars as pl
import pytest

from gecko_kedro.corpus.schemas import PAIR_SCHEMA, PASSAGE_SCHEMA
from gecko_kedro.errors import InputError
from gecko_kedro.fret.schemas import FRET, QUERY
from gecko_kedro.training.examples import (
    EXAMPLE_SCHEMA,
    check_examples,
    from_fret,
    from_pairs,
    from_seed_queries,
    render_examples,
)

PASSAGES = pl.DataFrame(
    [
        {"passage_id": "p1", "doc_id": "d1", "title": "Tides", "text": "The moon pulls the sea.",
         "group": "g", "start": 0, "end": 23},
        {"passage_id": "p2", "doc_id": "d2", "title": None, "text": "Bread needs time.",
         "group": "g", "start": 0, "end": 17},
    ],
    schema=PASSAGE_SCHEMA,
)  # fmt: skip


def example(**values: object) -> dict[str, object]:
    return {
        "dataset": "set",
        "task_name": "search result",
        "query": "a question",
        "positive_title": None,
        "positive": "an answer",
        "negative_title": None,
        "negative": None,
        "symmetric": False,
    } | values


def table(*rows: dict[str, object]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=EXAMPLE_SCHEMA)


def test_pairs_keep_their_kind_and_take_a_title_that_is_not_the_query() -> None:
    pairs = pl.DataFrame(
        [
            {"pair_id": f"{kind}:p1", "kind": kind, "task": "search result", "query": query,
             "passage_id": "p1", "text": "The moon pulls the sea.", "group": "g"}
            for kind, query in [("summary_body", "about water"), ("title_body", "Tides")]
        ],
        schema=PAIR_SCHEMA,
    )  # fmt: skip
    with_titles = from_pairs(pairs, passages=PASSAGES).examples
    assert dict(with_titles.schema) == dict(EXAMPLE_SCHEMA)
    assert with_titles["dataset"].to_list() == ["summary_body", "title_body"]
    assert with_titles["positive_title"].to_list() == ["Tides", None]
    assert from_pairs(pairs).examples["positive_title"].to_list() == [None, None]


def test_fret_rows_keep_both_titles_and_may_lack_a_negative() -> None:
    shared = {
        "query_id": "q", "task": "Find it", "task_name": "fact checking", "query": "is it so",
        "seed_id": "p1", "positive_id": "p1", "positive_title": "Tides", "positive": "It is.",
        "positive_is_seed": True, "candidate_ids": ["p1"], "fused_ranks": [1],
        "query_likelihoods": [-1.0], "relevances": [-1.0], "retriever_scores": [1.0],
    }  # fmt: skip
    rows = [
        shared | {"negative_id": "p2", "negative_title": "Bread", "negative": "No."},
        shared | {"negative_id": None, "negative_title": None, "negative": None},
    ]
    result = from_fret(pl.DataFrame(rows, schema=FRET))
    assert result.counts == {"examples": 2, "quarantined": 0}
    assert result.examples["negative_title"].to_list() == ["Bread", None]
    assert result.examples["task_name"].unique().to_list() == ["fact checking"]


def test_seed_queries_get_their_passage_and_log_queries_none() -> None:
    queries = pl.DataFrame(
        [
            {"query_id": "1", "task": "t", "task_name": "question answering", "query": "why tides",
             "passage_id": "p1", "origin": "synthetic"},
            {"query_id": "2", "task": "t", "task_name": "question answering", "query": "from a log",
             "passage_id": None, "origin": "log"},
            {"query_id": "3", "task": "t", "task_name": "question answering", "query": "lost",
             "passage_id": "gone", "origin": "synthetic"},
        ],
        schema=QUERY,
    )  # fmt: skip
    result = from_seed_queries(queries, PASSAGES)
    assert result.examples.select("query", "positive", "positive_title").rows() == [
        ("why tides", "The moon pulls the sea.", "Tides")
    ]
    assert result.counts == {"examples": 1, "quarantined": 1, "empty_positive": 1}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (example(query=" \n"), "empty_query"),
        (example(query=None), "empty_query"),
        (example(positive=""), "empty_positive"),
        (example(negative=" "), "empty_negative"),
        (example(positive="An answer", query="an answer "), "query_equals_positive"),
        (example(negative="a question"), "query_equals_negative"),
        (example(negative="AN ANSWER"), "positive_equals_negative"),
        (example(negative="['one', 'two']"), "list_as_string"),
        (example(positive='["one"]'), "list_as_string"),
    ],
)
def test_a_bad_row_is_set_aside_with_its_reason(row: dict[str, object], reason: str) -> None:
    result = check_examples(table(example(), row), where="rows.jsonl")
    assert result.examples.height == 1
    assert result.counts == {"examples": 1, "quarantined": 1, reason: 1}
    (bad,) = result.quarantine.to_dicts()
    assert (bad["where"], bad["row_id"], bad["reason"]) == ("rows.jsonl", "row 1", reason)
    assert json.loads(bad["record"])["task_name"] == "search result"


@pytest.mark.parametrize("text", ["[see 'a' and 'b']", "['a', b]", "[1, 2]", "['unclosed", "[]x"])
def test_brackets_alone_do_not_make_a_list(text: str) -> None:
    assert check_examples(table(example(positive=text)), where="here").quarantine.is_empty()


def test_no_rows_are_no_error() -> None:
    result = check_examples(table(), where="here")
    assert result.counts == {"examples": 0, "quarantined": 0}
    assert render_examples(result.examples).is_empty()


def test_wrong_columns_stop_and_are_named() -> None:
    with pytest.raises(InputError, match=r"pairs\.csv: expected the columns dataset String.*text"):
        check_examples(pl.DataFrame({"text": ["a"]}), where="pairs.csv")


def test_an_asymmetric_row_has_the_passage_form_on_its_right_side() -> None:
    rendered = render_examples(
        table(example(positive_title="A title", negative="another", negative_title=" "))
    )
    assert rendered.rows() == [
        (
            "task: search result | query: a question",
            "title: A title | text: an answer",
            "title: none | text: another",
        )
    ]


def test_a_symmetric_row_has_the_query_form_on_both_sides() -> None:
    rendered = render_examples(table(example(symmetric=True, positive_title="unused")))
    assert rendered.rows() == [
        (
            "task: search result | query: a question",
            "task: search result | query: an answer",
            None,
        )
    ]
