import json

import numpy as np
import polars as pl
import pytest

from gecko_kedro.corpus.overlap import REASONS, find_overlaps, remove_overlaps
from gecko_kedro.corpus.schemas import EVALUATION_TEXT_SCHEMA, OVERLAP_SCHEMA
from gecko_kedro.corpus.settings import OverlapSettings

ALL = OverlapSettings(
    ngram_words=13, near_duplicate_threshold=0.6, embedding_threshold=0.95, seed=1
)
NONE = ALL.model_copy(
    update={"ngram_words": None, "near_duplicate_threshold": None, "embedding_threshold": None}
)
LONG = " ".join(f"word{n}" for n in range(40))
TEXTS = [
    "How is  a TIE broken?",  # equal but for case and white space
    "Before that: " + " ".join(f"word{n}" for n in range(9, 22)) + " and on it goes",  # 13 words
    "the quick brown fox jumps over the sleepy dog near the old river bank",  # one other word
    "what breaks a draw",  # the same in other words
    "an unrelated sentence about glaciers",
    "",
]
EVALUATION = [
    "how is a tie broken?",
    LONG,
    "the quick brown fox jumps over the lazy dog near the old river bank",
    "   ",
]


def embed(texts) -> np.ndarray:
    """Unit vectors by subject: ties, foxes, the rest by their own hash."""
    rows = []
    for text in texts:
        angle = 0.1 if "tie" in text or "draw" in text else 2.0 + (len(text) % 7) / 10
        rows.append([np.cos(angle), np.sin(angle)])
    return np.asarray(rows, dtype=np.float32)


def test_each_kind_of_overlap_is_found_with_its_reason() -> None:
    settings = ALL.model_copy(update={"embedding_threshold": None})
    found = find_overlaps(TEXTS, EVALUATION, settings)
    assert {row: hit.reason for row, hit in found.items()} == {
        0: "equal_text", 1: "shared_ngram", 2: "near_duplicate",
    }  # fmt: skip
    assert found[2].evaluation_text == EVALUATION[2]
    assert 0.6 <= found[2].similarity < 1


def test_embeddings_find_what_words_do_not() -> None:
    settings = NONE.model_copy(update={"embedding_threshold": 0.999})
    found = find_overlaps(TEXTS[3:5], EVALUATION[:1], settings, embed=embed)
    assert {row: hit.reason for row, hit in found.items()} == {0: "similar_embedding"}
    assert found[0].evaluation_text == "how is a tie broken?"


def test_twelve_words_in_common_are_not_thirteen() -> None:
    settings = NONE.model_copy(update={"ngram_words": 13})
    twelve = " ".join(f"word{n}" for n in range(9, 21))
    assert not find_overlaps([f"so {twelve} ends"], [LONG], settings)
    assert find_overlaps([f"so {twelve} word21 ends"], [LONG], settings)


def test_boilerplate_of_many_training_texts_is_no_leak() -> None:
    settings = NONE.model_copy(update={"ngram_words": 13})
    licence = " ".join(f"clause{n}" for n in range(20))
    evaluation = [f"{licence} and then the question itself"]
    few, many = ([f"{licence} text {n}" for n in range(count)] for count in (10, 11))
    assert len(find_overlaps(few, evaluation, settings)) == 10
    assert find_overlaps(many, evaluation, settings) == {}


def test_switched_off_tests_find_only_equal_texts() -> None:
    assert set(find_overlaps(TEXTS, EVALUATION, NONE, embed=embed)) == {0}


def test_without_evaluation_texts_nothing_overlaps() -> None:
    assert find_overlaps(TEXTS, ["", "  "], ALL, embed=embed) == {}


def test_near_duplicates_are_those_of_an_exhaustive_search() -> None:
    rng = np.random.default_rng(0)
    words = [f"w{n}" for n in range(60)]
    evaluation = [" ".join(rng.choice(words, 30)) for _ in range(40)]
    training = []
    for text in evaluation:
        changed = text.split()
        for place in rng.choice(30, rng.integers(0, 4), replace=False):
            changed[place] = "other"
        training.append(" ".join(changed))

    def shingles(text: str) -> set[tuple[str, ...]]:
        split = text.split()
        return set(zip(split, split[1:], split[2:], strict=False))

    expected = set()
    for row, text in enumerate(training):
        own = shingles(text)
        best = max(len(own & shingles(e)) / len(own | shingles(e)) for e in evaluation)
        if best >= 0.7:
            expected.add(row)
    settings = NONE.model_copy(update={"near_duplicate_threshold": 0.7})
    found = set(find_overlaps(training, evaluation, settings))
    assert found <= expected
    assert len(expected) > 10
    assert len(expected - found) <= 1  # the sketches miss about one in a hundred


def evaluation_table(texts: list[str]) -> pl.DataFrame:
    rows = [("Own", "query", f"query {number}", text) for number, text in enumerate(texts)]
    return pl.DataFrame(rows, schema=EVALUATION_TEXT_SCHEMA, orient="row")


def test_rows_are_removed_counted_and_listed() -> None:
    table = pl.DataFrame(
        {"id": [f"p{n}" for n in range(6)], "text": TEXTS, "summary": [None] * 4 + [LONG, None]}
    )
    settings = ALL.model_copy(update={"embedding_threshold": None})
    kept, overlaps = remove_overlaps(
        table, evaluation_table(EVALUATION), settings, where="here", columns=["text", "summary"]
    )
    assert kept["id"].to_list() == ["p3", "p5"]
    assert overlaps.schema == OVERLAP_SCHEMA
    listed = overlaps.select("where", "row_id", "column", "reason", "task", "text_id").rows()
    assert listed == [
        ("here", "p0", "text", "equal_text", "Own", "query 0"),
        ("here", "p1", "text", "shared_ngram", "Own", "query 1"),
        ("here", "p2", "text", "near_duplicate", "Own", "query 2"),
        ("here", "p4", "summary", "equal_text", "Own", "query 1"),
    ]
    assert overlaps["evaluation_text"][2] == EVALUATION[2]
    assert json.loads(overlaps["record"][3])["text"] == TEXTS[4]


def test_texts_in_lists_are_looked_at_and_a_row_is_listed_once() -> None:
    table = pl.DataFrame(
        {
            "id": ["a", "b", "c", "d"],
            "query": ["how is a tie broken?", "other", "another", None],
            "negatives": [["how is a tie broken?"], ["fine", "How is a tie broken?"], [], None],
        }
    )
    kept, overlaps = remove_overlaps(
        table, evaluation_table(EVALUATION), NONE, where="w", columns=["query", "negatives"]
    )
    assert kept["id"].to_list() == ["c", "d"]
    assert overlaps.select("row_id", "column").rows() == [("a", "query"), ("b", "negatives")]


def test_a_text_that_is_repeated_is_no_boilerplate() -> None:
    settings = NONE.model_copy(update={"ngram_words": 13})
    texts = [" ".join(f"word{n}" for n in range(9, 25))] * 30
    assert set(find_overlaps(texts, [LONG], settings)) == set(range(30))


def test_a_shared_ngram_names_the_whole_evaluation_text() -> None:
    settings = NONE.model_copy(update={"ngram_words": 13})
    found = find_overlaps([TEXTS[1]], ["something else", LONG], settings)
    assert found[0].evaluation_text == LONG


@pytest.mark.parametrize("reason", REASONS)
def test_a_removed_row_overlaps_no_more(reason: str) -> None:
    table = pl.DataFrame({"id": [f"p{n}" for n in range(6)], "text": TEXTS})
    evaluation = evaluation_table(EVALUATION)
    once, _ = remove_overlaps(table, evaluation, ALL, where="w", columns=["text"], embed=embed)
    twice, again = remove_overlaps(once, evaluation, ALL, where="w", columns=["text"], embed=embed)
    assert reason not in again["reason"].to_list()
    assert twice.equals(once)
