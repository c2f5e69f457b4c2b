import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gecko_kedro.corpus.texts import WORD_PATTERN, clean_text, count_words, has_words, is_unicode

MIXED = "alpha βeta 狐狸。かな ภาษาไทย 😀👩‍👩‍👧 שלום مرحبا x\u0301 \n\t.,"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 0),
        (" \n\t ", 0),
        ("one", 1),
        ("one, two\nthree", 3),
        ("敏捷的棕色狐狸", 7),  # no spaces, and yet seven words
        ("狐狸。", 2),  # the full stop belongs to the word before it
        ("ภาษาไทย", 2),  # seven characters, four to a word
        ("שלום עולם", 2),
        ("x" * 32, 1),
        ("x" * 33, 2),
    ],
)
def test_words_are_counted_in_every_script(text: str, words: int) -> None:
    assert count_words(text) == words


@given(st.text(alphabet=st.sampled_from(MIXED) | st.characters(), max_size=60))
def test_rust_and_python_count_the_same_words_of_a_clean_text(text: str) -> None:
    text = clean_text(text).text if is_unicode(text) else ""
    rust = pl.Series([text]).str.count_matches(WORD_PATTERN)[0]
    assert rust == count_words(text)


@given(st.text(alphabet=MIXED, max_size=60), st.integers(1, 12))
def test_has_words_agrees_with_the_count(text: str, minimum: int) -> None:
    assert has_words(text, minimum) == (count_words(text) >= minimum)


@given(st.text(alphabet=st.sampled_from(MIXED + "\r\x00\x07\x0b\x85\u2028") | st.characters()))
def test_cleaning_twice_changes_nothing_more(text: str) -> None:
    once = clean_text(text)
    assert clean_text(once.text) == (once.text, 0, 0)


@given(st.text(alphabet=st.sampled_from(MIXED) | st.characters(exclude_categories=["Cc", "Zs"])))
def test_cleaning_keeps_every_character_that_is_no_control(text: str) -> None:
    kept = [character for character in clean_text(text).text if not character.isspace()]
    assert kept == [character for character in text if not character.isspace()]


def test_cleaning_counts_what_it_changed() -> None:
    assert clean_text("a\r\nb\rc\x0cd\x00e\x1bf\x7f") == ("a\nb\nc\nd" + "ef", 3, 3)


def test_right_to_left_marks_and_joined_emoji_are_no_controls() -> None:
    text = "\u200f\u202bשלם\u202c\u2067x\u2069 👩\u200d🚀 e\u0301"
    assert clean_text(text) == (text, 0, 0)


def test_half_a_surrogate_pair_is_not_unicode() -> None:
    assert is_unicode("😀 ok")
    assert not is_unicode("half \ud83d")
