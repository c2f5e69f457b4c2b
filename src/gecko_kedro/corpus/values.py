"""Which column of a table holds what, and values as text where they plainly are text.

Columns are checked before the first row is used. pandas makes 12.0 out of an id 12.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from difflib import get_close_matches
from numbers import Real
from typing import Any

import polars as pl

from gecko_kedro.base.errors import InputError, Words


def check_mapping(
    columns: Mapping[str, str | None], *, roles: Sequence[str], required: str, where: str
) -> dict[str, str]:
    """The roles of a column mapping that have a column, after a check of the roles' names."""
    for role in columns:
        if role not in roles:
            near = ", ".join(get_close_matches(role, roles, n=2)) or "none"
            raise InputError(
                where,
                expected=f"only {', '.join(roles)}",
                got=role,
                fix=f"Correct the name; near to it: {near}.",
            )
    if not columns.get(required):
        raise InputError(
            f"{where}.{required}",
            expected=f"the name of the column that holds the {required}",
            got=columns.get(required),
            fix="Set it in the column mapping.",
        )
    return {role: name for role, name in columns.items() if name is not None}


def check_columns(where: str, *, wanted: Iterable[str], present: Iterable[str]) -> None:
    """Raise InputError for the first of ``wanted`` that is not ``present``, naming the nearest."""
    present = list(present)
    for name in wanted:
        if name not in present:
            near = ", ".join(get_close_matches(name, present, n=3, cutoff=0.4)) or "none"
            raise InputError(
                where,
                expected=f"a column {name!r}",
                got=Words(f"no such column among {', '.join(present) or 'none at all'}"),
                fix=f"Set the column mapping; names near to it: {near}.",
            )


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
