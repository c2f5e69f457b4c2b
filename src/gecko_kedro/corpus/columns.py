"""Which column of a table holds what, checked before the first row is used."""

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

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
