from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gecko_kedro.corpus.chunking import chunk, first_sentence
from gecko_kedro.corpus.texts import WORD, count_words

PIECES = [
    "word ",
    "Stop. ",
    "end!\n\n",
    "line\n",
    "狐狸",
    "说。",
    "😀",
    "\u0301",
    "x" * 40,
    "e.g. ",
    "ภาษา",
]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=200).map("".join)
LIMITS = st.tuples(st.integers(1, 12), st.integers(0, 30), st.integers(0, 30)).map(
    lambda t: {
        "min_words": t[0],
        "max_words": 2 * t[0] + t[1],
        "overlap_words": min(t[2], (2 * t[0] + t[1]) // 2 - 1),
    }
)


@settings(max_examples=300)
@given(TEXTS, LIMITS)
def test_passages_hold_every_word_within_the_limits(text: str, limits: dict[str, int]) -> None:
    spans = chunk(text, **limits)
    words = [match.span() for match in WORD.finditer(text)]
    assert all(any(s <= a and b <= e for s, e in spans) for a, b in words)
    starts, ends = {a for a, _ in words}, {b for _, b in words}
    assert all(start in starts and end in ends for start, end in spans)
    inside = [sum(s <= a and b <= e for a, b in words) for s, e in spans]
    assert all(n <= limits["max_words"] for n in inside)
    if len(spans) > 1:
        assert all(n >= limits["min_words"] for n in inside)


@given(TEXTS, LIMITS)
def test_passages_go_forward_and_overlap_no_more_than_allowed(
    text: str, limits: dict[str, int]
) -> None:
    spans = chunk(text, **limits)
    for (start, end), (next_start, next_end) in pairwise(spans):
        assert start < next_start <= next_end
        assert end < next_end
        shared = sum(next_start <= m.start() and m.end() <= end for m in WORD.finditer(text))
        # The last passage may reach further back, to have min_words.
        last = (next_start, next_end) == spans[-1]
        assert shared <= max(limits["overlap_words"], limits["min_words"] if last else 0)


def test_a_text_that_fits_is_one_passage_and_a_text_without_words_none() -> None:
    limits = {"min_words": 1, "max_words": 4, "overlap_words": 0}
    assert chunk("one two three four", **limits) == [(0, 18)]
    assert chunk(" \n ", **limits) == []


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("a b c\n\nd e f. g h", "a b c"),  # a paragraph is better than a later sentence
        ("a b c. D e\nf g h", "a b c."),  # a sentence is better than a later line
        ("a b c\nd e f g h", "a b c"),  # a line is better than a later word
        ("a b c d e f g h", "a b c d e"),
        ("a b c. d e f g h", "a b c. d e"),  # a small letter begins no sentence
        ("我们说。他们听到了", "我们说。"),
    ],
)
def test_the_best_border_in_the_second_half_is_taken(text: str, first: str) -> None:
    start, end = chunk(text, min_words=1, max_words=5, overlap_words=0)[0]
    assert text[start:end] == first


def test_the_next_passage_begins_with_a_whole_sentence_of_the_one_before() -> None:
    text = "One two three. Four five six. Seven eight nine ten."
    spans = chunk(text, min_words=2, max_words=7, overlap_words=3)
    assert [text[s:e] for s, e in spans] == [
        "One two three. Four five six.",
        "Four five six. Seven eight nine ten.",
    ]


def test_a_cut_never_parts_an_accent_from_its_letter() -> None:
    text = "e\u0301" * 200  # one unbroken run of 400 characters
    for start, end in chunk(text, min_words=1, max_words=3, overlap_words=0):
        assert text[start] == "e"
        assert text[end - 1] == "\u0301"


def test_five_megabytes_on_one_line_are_cut() -> None:
    text = "lorem ipsum dolor " * 280_000
    spans = chunk(text, min_words=20, max_words=200, overlap_words=0)
    assert len(spans) == 840_000 // 200
    assert spans[-1][1] == len(text) - 1


def test_a_long_run_without_white_space_is_cut_too() -> None:
    spans = chunk("x" * 100_000, min_words=20, max_words=100, overlap_words=0)
    assert max(end - start for start, end in spans) == 3_200


@given(TEXTS)
def test_first_sentence_and_rest_make_the_text(text: str) -> None:
    sentence, rest = first_sentence(text)
    assert "".join((sentence + rest).split()) == "".join(text.split())
    assert count_words(sentence) >= bool(count_words(text))
