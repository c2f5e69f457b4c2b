"""The two sets that are written by hand: what they promise, and what a Python lacks of them."""

import json
import re
import sys
from collections.abc import Iterator
from importlib.util import find_spec

import polars as pl
import pytest
import yaml

from gecko_kedro.corpus import written
from gecko_kedro.corpus.python_docs import harvest
from gecko_kedro.corpus.settings import PythonDocsSettings
from gecko_kedro.corpus.written import (
    ADAPTATION_SCHEMA,
    INVENTORY,
    RELEVANT,
    JudgedQueries,
    adaptation_queries,
    judged_queries,
)
from gecko_kedro.corpus.written_files import read_written
from tests.support.conf import CONF

PAIRS, DOCUMENTS, QUERIES, JUDGEMENTS = map(
    read_written, ("adaptation", "documents", "queries", "judgements")
)
# The names are those of Python 3.11; later ones have moved some, and a build may lack a module.
IS_WRITTEN_FOR = sys.version_info[:2] == (3, 11)


@pytest.fixture(scope="module")
def judged() -> JudgedQueries:
    return judged_queries()


def modules(names: pl.Series) -> set[str]:
    return {name.partition(".")[0] for name in names}


def runs(text: str, words: int = 6) -> set[tuple[str, ...]]:
    """All runs of so many words of ``text``."""
    found = re.findall(r"\w+", text.lower())
    return {tuple(found[n : n + words]) for n in range(len(found) - words + 1)}


def test_the_sets_have_their_sizes_and_every_kind() -> None:
    assert PAIRS.height >= 400
    assert QUERIES.height >= 200
    assert set(PAIRS["kind"]) == set(QUERIES["kind"]) == set(INVENTORY)
    assert PAIRS["kind"].value_counts()["count"].min() >= 60


def test_what_is_adapted_on_and_what_is_evaluated_on_share_no_module() -> None:
    assert not modules(PAIRS["passage"]) & modules(DOCUMENTS["passage"])
    assert not set(PAIRS["query"].str.to_lowercase()) & set(QUERIES["query"].str.to_lowercase())


def test_nothing_is_there_twice() -> None:
    for table, columns in (
        (PAIRS.with_columns(pl.col("query").str.to_lowercase()), ["query"]),
        (QUERIES.with_columns(pl.col("query").str.to_lowercase()), ["query"]),
        (QUERIES, ["query_id"]),
        (DOCUMENTS, ["passage"]),
        (JUDGEMENTS, ["query_id", "passage"]),
    ):
        assert table.select(columns).is_duplicated().sum() == 0


def test_every_query_is_judged_and_has_an_answer() -> None:
    assert set(JUDGEMENTS["grade"]) == {0, 1, 2, 3}
    assert set(JUDGEMENTS["query_id"]) == set(QUERIES["query_id"])
    answered = JUDGEMENTS.filter(pl.col("grade") >= RELEVANT)
    assert set(answered["query_id"]) == set(QUERIES["query_id"])
    assert set(JUDGEMENTS["passage"]) <= set(DOCUMENTS["passage"])
    own = QUERIES.select("query_id", passage="written_for")
    assert own.join(JUDGEMENTS, on=["query_id", "passage"], how="anti").is_empty()


def test_the_kinds_are_tasks_of_the_synthesis_prompt() -> None:
    prompts = yaml.safe_load((CONF / "prompts/gecko.yml").read_text("utf-8"))
    assert set(INVENTORY.values()) <= set(prompts["synthesis"]["inventory"]["task"])


def test_the_pairs_get_their_docstrings() -> None:
    made = adaptation_queries()
    assert made.rows.schema == ADAPTATION_SCHEMA
    assert made.counts["pairs"] == made.rows.height
    row = made.rows.filter(passage_id="ast.literal_eval", kind="beginner question").row(
        0, named=True
    )
    assert row["text"].startswith("Evaluate an expression node or a string containing only")
    assert (row["title"], row["task"]) == ("ast.literal_eval", "question answering")
    assert made.rows.select(pl.col("text").str.len_chars().min()).item() > 60


def test_a_text_is_the_whole_docstring_with_its_summary(judged: JudgedQueries) -> None:
    (text,) = judged.documents.filter(passage_id="json.dump")["text"]
    assert json.dump.__doc__ is not None
    assert text.split() == json.dump.__doc__.split()


@pytest.mark.skipif(not IS_WRITTEN_FOR, reason="later Pythons have moved some names")
def test_this_python_has_them_all(judged: JudgedQueries) -> None:
    there = {name for name in modules(PAIRS["passage"]) if find_spec(name) is not None}
    aside = adaptation_queries().quarantine
    assert not modules(aside["row_id"]) & there
    assert judged.quarantine.is_empty()
    assert judged.documents.height == DOCUMENTS.height
    assert judged.queries.equals(QUERIES)


def test_another_python_has_most(judged: JudgedQueries) -> None:
    assert judged.queries.height > 0.8 * QUERIES.height
    assert set(judged.quarantine["reason"]) <= {"not_in_this_python", "no_relevant_passage"}


def test_no_query_copies_six_words_of_its_passage(judged: JudgedQueries) -> None:
    texts = dict(judged.documents.iter_rows())
    asked = [
        *adaptation_queries().rows.select("query", "text").iter_rows(),
        *((q, texts[p]) for q, p in QUERIES.select("query", "written_for").iter_rows()
          if p in texts),
    ]  # fmt: skip
    assert [query for query, text in asked if runs(query) & runs(text)] == []


@pytest.fixture
def lacking(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names put in here are none of this Python's."""
    names: list[str] = []
    real = written.harvest_sources

    def without(*arguments, **options):
        made = real(*arguments, **options)
        kept = made.rows.filter(~pl.col("doc_id").is_in(names))
        return written.Checked(kept, made.quarantine, made.counts)

    monkeypatch.setattr(written, "harvest_sources", without)
    return names


def test_a_passage_that_this_python_lacks_is_set_aside_with_its_record(
    lacking: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="gecko_kedro")
    before = adaptation_queries().rows
    lacking.append("ast.literal_eval")
    after = adaptation_queries()
    gone = after.quarantine.filter(row_id="ast.literal_eval")
    assert gone.height == before.height - after.rows.height > 0
    assert set(gone["reason"]) == {"not_in_this_python"}
    assert after.counts["not_in_this_python"] == after.quarantine.height
    asked = set(before.filter(passage_id="ast.literal_eval")["query"])
    assert {json.loads(record)["query"] for record in gone["record"]} == asked
    assert f"'not_in_this_python': {after.quarantine.height}" in caplog.messages[-1]


def test_a_query_without_its_answers_goes_with_its_judgements(
    lacking: list[str], judged: JudgedQueries
) -> None:
    query_id = judged.queries["query_id"][0]
    answers = judged.judgements.filter(pl.col("grade") >= RELEVANT, query_id=query_id)
    lacking += answers["passage_id"].to_list()
    left = judged_queries()
    assert query_id not in left.queries["query_id"]
    assert query_id not in left.judgements["query_id"]
    assert not set(lacking) & set(left.documents["passage_id"])
    assert not set(lacking) & set(left.judgements["passage_id"])
    gone = left.quarantine.filter(where="queries.jsonl", row_id=query_id)
    assert gone["reason"].to_list() == ["no_relevant_passage"]
    reached = left.quarantine.filter(where="judgements.jsonl")
    assert reached.height == JUDGEMENTS.height - left.judgements.height


def test_no_corpus_has_what_a_language_model_is_adapted_on() -> None:
    made = harvest(PythonDocsSettings(include=["ast", "cmd", "json"], workers=1))
    adapted_on = set(PAIRS["passage"])
    assert not adapted_on & set(made.rows["doc_id"])
    assert {"ast", "json"} <= modules(made.rows["doc_id"])  # the rest of these modules stays
    gone = made.quarantine.filter(reason="adaptation")
    expected = {name for name in adapted_on if name.partition(".")[0] in {"ast", "cmd"}}
    assert set(gone["row_id"]) == expected
    assert made.counts["adaptation"] == len(expected)
    assert json.loads(gone["record"][0])["text"]
