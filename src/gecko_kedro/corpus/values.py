"""Values of tables as text, where they plainly are text: pandas makes 12.0 out of an id 12."""

import math
from decimal import Decimal
from numbers import Real
from typing import Any

import polars as pl


def is_missing(value: Any) -> bool:
    """Whether ``value`` is what tables write for nothing: None or NaN."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def as_text(value: Any) -> str | None:
    """A text as it is and a number as it is written: 12, 12.0 and Decimal("12") are "12".

    None, NaN and infinity are None. TypeError for a truth value, a list and whatever else is
    neither text nor number.
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, Real | Decimal):
        raise TypeError(f"a {type(value).__name__}")
    number: Any = value
    if not math.isfinite(number):
        return None
    return str(int(number) if number == int(number) else number)


def as_texts(column: pl.Series) -> pl.Series:
    """``as_text`` of a whole column; what is no number is cast as polars does."""
    if not column.dtype.is_float():
        return column.cast(pl.String)
    whole = pl.when(column == column.round()).then(column.cast(pl.Int64, strict=False))
    written = pl.when(column.is_finite()).then(column.cast(pl.String))
    return pl.select(pl.coalesce(whole.cast(pl.String), written).alias(column.name)).to_series()


def as_names(column: pl.Series) -> pl.Series:
    """Ids as text, without outer blanks, so that those of one file match those of another.

    A column of which every value reads like "12.0" was one of whole numbers before some program
    made it one of floats.
    """
    names = as_texts(column).str.strip_chars()
    given = names.drop_nulls()
    if not given.is_empty() and given.str.contains(r"^-?\d+\.0$").all():
        return names.str.strip_suffix(".0")
    return names


def whole_numbers(column: pl.Series) -> pl.Series:
    """Int64 of "1", "1.0", 1.0 and True; null for what is no whole number."""
    number = column.cast(pl.Float64, strict=False)
    whole = pl.when(number == number.round()).then(number)
    return pl.select(whole.cast(pl.Int64, strict=False)).to_series().alias(column.name)
