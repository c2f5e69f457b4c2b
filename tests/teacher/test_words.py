"""Words, prose and phrases of the lexical stand-in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gecko_kedro.teacher.phrases import Collection, key_phrases, linked_phrases
from gecko_kedro.teacher.words import sentences, stem, terms, words


def test_identifiers_fall_apart_into_words() -> None:
    assert words("read_csv LogisticRegression HTTPServer don't") == [
        "read", "csv", "logistic", "regression", "http", "server", "don't",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "family",
    [
        ("matrix", "matrix's"),
        ("compute", "computes", "computed", "computing"),
        ("class", "classes"),
        ("query", "queries"),
        ("stop", "stopped", "stopping"),
        ("normalize", "normalise", "normalization"),
    ],
)
def test_inflections_of_a_word_share_a_stem(family: tuple[str, ...]) -> None:
    assert len({stem(word) for word in family}) == 1


@pytest.mark.parametrize("pair", [("bus", "bu"), ("analysis", "analys"), ("ring", "r")])
def test_what_only_looks_like_an_ending_stays(pair: tuple[str, str]) -> None:
    assert stem(pair[0]) != pair[1]


@given(st.text())
def test_any_text_has_words_and_stems_are_never_empty(text: str) -> None:
    assert all(terms(text))


def test_words_of_other_scripts_are_words() -> None:
    assert words("مرحبا بالعالم 🙂 שלום") == ["مرحبا", "بالعالم", "שלום"]


NUMPYDOC = """Raise a square matrix to a power.

For integers the power is computed by repeated products; see :func:`pkg.dot`.

Parameters
----------
a : ndarray, optional
    Flarb to be raised.

Notes
-----
The method needs few products. See https://example.org for more [1]_.

Examples
--------
>>> power(a, 3)
array([1, 2])
"""


def test_prose_is_kept_and_listings_markup_and_program_text_go() -> None:
    found = " | ".join(sentences(NUMPYDOC))
    assert "Raise a square matrix to a power" in found
    assert "The method needs few products" in found
    assert "see dot" in found
    for gone in ("Flarb", "ndarray", "array(", "Parameters", "http", "`", "[1]", "---"):
        assert gone not in found


def test_a_listing_serves_where_there_is_no_prose() -> None:
    assert sentences("Parameters\n----------\na : int\n    The number of rows.\n") == [
        "The number of rows."
    ]


@given(st.text())
def test_sentences_of_any_text_have_letters(text: str) -> None:
    assert all(any(map(str.isalpha, sentence)) for sentence in sentences(text))


def test_the_collection_does_not_depend_on_the_order_of_texts() -> None:
    texts = ["a cat sat", "the dog sat down", "dogs and cats"]
    one, other = Collection.fit(texts), Collection.fit(reversed(texts))
    assert one.fingerprint == other.fingerprint
    assert one.fingerprint != Collection.fit(texts[:2]).fingerprint
    assert one.document_counts["sat"] == 2
    assert one.pair_count("dog", "sat") >= 1


def test_probabilities_of_the_collection_sum_to_one_with_one_unknown_word() -> None:
    collection = Collection.fit(["a cat sat", "the dog sat down"])
    total = sum(collection.probability(term) for term in collection.counts)
    assert total + collection.probability("unheard-of") == pytest.approx(1.0)


def test_key_phrases_occur_in_the_text_and_share_no_word() -> None:
    text = ["The condition number of a matrix bounds the relative error", "A matrix is singular"]
    collection = Collection.fit(["the error of a method", "a number is even", *text])
    phrases = key_phrases(text, "", collection, limit=5)
    joined = " ".join(words(" ".join(text)))
    stems = [stem(word) for phrase in phrases for word in phrase.text.split()]
    assert all(phrase.text in joined for phrase in phrases)
    assert len(stems) == len(set(stems))
    assert "condition number" in {phrase.text for phrase in phrases}


def test_linked_phrases_are_runs_of_the_text() -> None:
    collection = Collection.fit(["x y z"])
    found = linked_phrases(["It bounds the condition number of a matrix"], collection, limit=3)
    assert [phrase.text for phrase in found] == ["condition number of a matrix"]
