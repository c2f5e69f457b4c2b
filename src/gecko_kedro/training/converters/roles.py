"""What converters share: rows whose columns have been renamed to roles, and texts out of them."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

from gecko_kedro.corpus.quarantine import QuarantineRow, quarantine_row
from gecko_kedro.corpus.values import as_text, is_missing

T = TypeVar("T")
Passage = dict[str, str | None]  # title and text
Example = dict[str, Any]  # columns of the unified format; those that are absent are null
Aside = list[QuarantineRow]  # a converter appends the rows that make no example


class UnfitRow(Exception):
    """This row makes no example; ``reason`` is the name under which it is counted."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason, self.detail = reason, detail


class RoleRow(NamedTuple):
    """One row of a source: where it was read, and its values by role."""

    where: str
    values: Mapping[str, Any]

    def text(self, role: str) -> str:
        """The text of ``role``; UnfitRow for one that is missing or no text."""
        value = self.values.get(role)
        if is_missing(value):
            raise UnfitRow(f"no_{role}")
        if not isinstance(value, str):
            raise UnfitRow(f"{role}_is_no_text", f"a {type(value).__name__}")
        return value

    def optional_text(self, role: str, aside: Aside) -> str | None:
        """The text of ``role``; what is no text is set aside alone, and the row goes on without."""
        try:
            return as_text(self.values.get(role))
        except TypeError as error:
            self.set_aside(aside, f"{role}_is_no_text", f"{error}; the row is kept without it")
            return None

    def passages(self, role: str) -> list[Passage]:
        """Those under ``role``: a text, a record of ``text`` and maybe ``title``, a list of either.

        None are none.
        """
        value = self.values.get(role)
        if is_missing(value):
            return []
        return [_passage(item, role) for item in (value if isinstance(value, list) else [value])]

    def set_aside(self, aside: Aside, reason: str, detail: str = "") -> None:
        """Count this row as bad."""
        row = quarantine_row(
            self.where, self.where, reason=reason, detail=detail, record=self.values
        )
        aside.append(row)


def each(rows: Iterable[RoleRow], aside: Aside, read: Callable[[RoleRow], T]) -> Iterator[T]:
    """What ``read`` gives for each row; a row for which it raises UnfitRow is set aside."""
    for row in rows:
        try:
            yield read(row)
        except UnfitRow as unfit:
            row.set_aside(aside, unfit.reason, unfit.detail)


def _passage(item: Any, role: str) -> Passage:
    if isinstance(item, str):
        return {"title": None, "text": item}
    if isinstance(item, Mapping) and isinstance(item.get("text"), str):
        title = item.get("title")
        return {"title": title if isinstance(title, str) else None, "text": item["text"]}
    raise UnfitRow(f"{role}_is_no_text", f"a {type(item).__name__}")


def same_label(value: Any, names: Iterable[Any]) -> bool:
    """Whether a label, a name or a number, is one of ``names``; case does not matter."""
    return label_of(value).strip().lower() in {str(name).lower() for name in names}


def label_of(value: Any) -> str:
    """A label as text; 1 and the 1.0 that pandas makes of it are one label."""
    try:
        return as_text(value) or ""
    except TypeError:
        return str(value)
