"""The four-part error shows values as values and our own words as words."""

import pickle

from gecko_kedro.base.errors import InputError, Words


def error(got: object) -> InputError:
    return InputError("a.csv", expected="a column", got=got, fix="Add it.")


def test_a_value_is_quoted_whatever_it_begins_with() -> None:
    assert str(error("no idea")) == "a.csv: expected a column, got 'no idea'. Add it."


def test_our_own_words_are_not_quoted() -> None:
    assert (
        str(error(Words("no such file"))) == "a.csv: expected a column, got no such file. Add it."
    )


def test_an_error_says_the_same_after_any_number_of_processes() -> None:
    first = error("no idea")
    again = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(first))))
    assert (str(again), again.parts()) == (str(first), first.parts())
