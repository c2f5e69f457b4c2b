"""One rule for the same text, and every room that compares texts follows it."""

import unicodedata

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gecko_kedro.base.text import normalise, normalise_query, normalised
from gecko_kedro.corpus.duplicates import exact_duplicates, near_duplicates, shingles
from gecko_kedro.corpus.overlap import OverlapSettings, find_overlaps
from gecko_kedro.fret.filters import filter_queries
from gecko_kedro.fret.schemas import QUERY
from gecko_kedro.fret.settings import FilterSettings
from gecko_kedro.training.examples import check_examples
from gecko_kedro.training.mixture import text_ids
from tests.support.example_rows import example, table

# Two forms of one text each: case, blanks, Unicode forms, width.
SAME = [
    ("A  frog", " a\tFROG\n"),
    ("caf\u00e9 au lait", "cafe\u0301 au lait"),
    ("\uac00\ub098\ub2e4", "\u1100\u1161\u1102\u1161\u1103\u1161"),
    ("ＧＰＴ４", "gpt4"),  # noqa: RUF001
    ("ｶﾞﾗｽ", "ガラス"),
    ("池\u3000蛙", "池 蛙"),
    ("STRASSE", "straße"),
    ("ΟΔΟΣ", "οδος"),
    ("\u212b", "a\u030a"),
    ("\u0390", "\u03ca\u0301"),
    ("a\u00a0b\u2003c", "a b c"),
]
# What a careless rule would make one.
DIFFERENT = [
    ("x²", "x2"),
    ("①", "1"),
    ("résumé", "resume"),
    ("sort in C++", "sort in C#"),
    ("कि", "की"),
    ("it is", "it's"),
    ("", "."),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_forms_of_one_text_are_the_same_everywhere(one: str, other: str) -> None:
    assert normalise(one) == normalise(other)
    assert exact_duplicates({"a": one, "b": other}) == {"b": "a"}
    assert shingles(one) == shingles(other)
    nothing = OverlapSettings(
        ngram_words=None, near_duplicate_threshold=None, embedding_threshold=None, seed=0
    )
    assert find_overlaps([one], [other], nothing)[0].reason == "equal_text"
    ids = text_ids(table(example(query=one), example(query=other)))
    assert ids.query[0] == ids.query[1]
    assert kept_queries(one, other) == ["q0"]
    checked = check_examples(table(example(query=one, positive=other)), where="here")
    assert checked.quarantine["reason"].to_list() == ["query_equals_positive"]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_texts_that_say_something_else_stay_two(one: str, other: str) -> None:
    assert normalise(one) != normalise(other)
    assert exact_duplicates({"a": one, "b": other}) == {}


def test_a_query_is_the_same_with_and_without_its_closing_mark() -> None:
    assert normalise_query("What is a frog？") == normalise_query("what is a frog")  # noqa: RUF001
    assert normalise_query("sort in C++?") != normalise_query("sort in C")
    assert kept_queries("मेंढक कि", "मेंढक की", "मेंढक की।") == ["q0", "q1"]


def test_near_duplicates_are_found_across_unicode_forms() -> None:
    text = " ".join(f"caf\u00e9 num\u00e9ro {n}" for n in range(20))
    other = unicodedata.normalize("NFD", text) + " et plus"
    assert set(near_duplicates({"a": text, "b": other}, threshold=0.8, seed=1)) == {"b"}


@given(st.text())
def test_the_rule_is_idempotent_and_blind_to_unicode_forms(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
    assert once == " ".join(once.split())
    forms = [unicodedata.normalize(form, text) for form in ("NFC", "NFD")]
    assert {normalise(form) for form in forms} == {once}


def test_a_column_is_normalised_like_each_text_and_nulls_stay() -> None:
    texts = [one for pair in SAME for one in pair]
    column = pl.DataFrame({"text": [*texts, None]}).select(normalised(pl.col("text")))["text"]
    assert column.to_list() == [*map(normalise, texts), None]


def kept_queries(*texts: str) -> list[str]:
    rows = [(f"q{n}", "t", "t", text, None, "log") for n, text in enumerate(texts)]
    queries = pl.DataFrame(rows, schema=QUERY, orient="row")
    passages = pl.DataFrame({"passage_id": []}, schema={"passage_id": pl.String})
    settings = FilterSettings(max_words=50, max_reject_rate=1.0)
    found, _ = filter_queries(queries, passages, settings)
    return found["query_id"].to_list()
