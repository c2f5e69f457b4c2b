"""Converters into the unified format, and what happens to bad rows."""

import json

import polars as pl
import pytest

from gecko_kedro.base.errors import InputError
from gecko_kedro.corpus.schemas import PAIR_SCHEMA, PASSAGE_SCHEMA
from gecko_kedro.fret.schemas import FRET, QUERY
from gecko_kedro.training.converters.project import from_fret, from_pairs, from_seed_queries
from gecko_kedro.training.examples import EXAMPLE_SCHEMA, check_examples, render_examples
from tests.support.example_rows import example, table

PASSAGES = pl.DataFrame(
    [
        {"passage_id": "p1", "doc_id": "d1", "title": "Tides", "text": "The moon pulls the sea.",
         "group": "g", "start": 0, "end": 23},
        {"passage_id": "p2", "doc_id": "d2", "title": None, "text": "Bread needs time.",
         "group": "g", "start": 0, "end": 17},
    ],
    schema=PASSAGE_SCHEMA,
)  # fmt: skip


def test_pairs_keep_their_kind_and_have_no_title() -> None:
    pairs = pl.DataFrame(
        [
            {"pair_id": f"{kind}:p1", "kind": kind, "task": "search result", "query": query,
             "passage_id": "p1", "text": "The moon pulls the sea.", "group": "g"}
            for kind, query in [("summary_body", "about water"), ("title_body", "Tides")]
        ],
        schema=PAIR_SCHEMA,
    )  # fmt: skip
    examples = from_pairs(pairs).rows
    assert dict(examples.schema) == dict(EXAMPLE_SCHEMA)
    assert examples["dataset"].to_list() == ["summary_body", "title_body"]
    assert examples["positive_title"].to_list() == [None, None]


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
    assert result.rows["negatives"].to_list() == [[{"title": "Bread", "text": "No."}], []]
    assert result.rows["task_name"].unique().to_list() == ["fact checking"]


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
    assert result.rows.select("query", "positive", "positive_title").rows() == [
        ("why tides", "The moon pulls the sea.", "Tides")
    ]
    assert result.counts == {"examples": 1, "quarantined": 1, "empty_positive": 1}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (example(query=" \n"), "empty_query"),
        (example(query=None), "empty_query"),
        (example(positive=""), "empty_positive"),
        (example(negatives=["fine", " "]), "empty_negative"),
        (example(positive="An answer", query="an answer "), "query_equals_positive"),
        (example(negatives=["fine", "A question"]), "query_equals_negative"),
        (example(negatives=["AN ANSWER"]), "positive_equals_negative"),
        (example(negatives=["['one', 'two']"]), "list_as_string"),
        (example(positive='["one"]'), "list_as_string"),
        (example(negatives=[{"title": "t", "text": None}]), "empty_negative"),
        (example(positive="other", negatives=["An answer"]), "negative_is_known_positive"),
        (example(negatives=["x"], teacher_scores=[1.0]), "wrong_number_of_teacher_scores"),
    ],
)
def test_a_bad_row_is_set_aside_with_its_reason(row: dict[str, object], reason: str) -> None:
    result = check_examples(table(example(), row), where="rows.jsonl")
    assert result.rows.height == 1
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
    assert render_examples(result.rows).is_empty()


def test_a_list_that_is_missing_is_no_negative() -> None:
    result = check_examples(table(example() | {"negatives": None}), where="here")
    assert result.rows["negatives"].to_list() == [[]]


def test_wrong_columns_stop_and_are_named() -> None:
    with pytest.raises(InputError, match=r"pairs\.csv: expected the columns dataset String.*text"):
        check_examples(pl.DataFrame({"text": ["a"]}), where="pairs.csv")


def test_an_asymmetric_row_has_the_passage_form_on_its_right_side() -> None:
    rendered = render_examples(
        table(
            example(
                positive_title="A title",
                negatives=[{"title": " ", "text": "another"}, {"title": "Two", "text": "third"}],
            )
        )
    )
    assert rendered.rows() == [
        (
            "task: search result | query: a question",
            "title: A title | text: an answer",
            ["title: none | text: another", "title: Two | text: third"],
        )
    ]


def test_a_symmetric_row_has_the_query_form_on_both_sides() -> None:
    row = example(symmetric=True, positive_title="unused", negatives=["another", "third"])
    assert render_examples(table(row), max_negatives=1).rows() == [
        (
            "task: search result | query: a question",
            "task: search result | query: an answer",
            ["task: search result | query: another"],
        )
    ]


def test_for_distillation_a_fret_row_has_all_its_candidates_and_their_scores() -> None:
    passages = pl.DataFrame(
        [
            {"passage_id": f"p{i}", "doc_id": "d", "title": f"T{i}", "text": f"text {i}",
             "group": "g", "start": 0, "end": 6}
            for i in range(4)
        ],
        schema=PASSAGE_SCHEMA,
    )  # fmt: skip
    row = {
        "query_id": "q", "task": "Find it", "task_name": "fact checking", "query": "is it so",
        "seed_id": "p1", "positive_id": "p2", "positive_title": "T2", "positive": "text 2",
        "negative_id": "p3", "negative_title": "T3", "negative": "text 3",
        "positive_is_seed": False, "candidate_ids": ["p2", "p0", "p1", "p3"],
        "fused_ranks": [1, 2, 3, 4], "query_likelihoods": [-1.0, -2.0, -3.0, -4.0],
        "relevances": [-0.5, None, -0.25, -1.0], "retriever_scores": [1.0, 0.9, 0.8, 0.7],
    }  # fmt: skip
    (made,) = from_fret(pl.DataFrame([row], schema=FRET), passages=passages).rows.to_dicts()
    assert [negative["text"] for negative in made["negatives"]] == ["text 3", "text 0", "text 1"]
    assert made["teacher_scores"] == [-1.5, -5.0, -2.0, -3.25]
    assert made["negatives"][0]["title"] == "T3"
