"""What converters share: rows whose columns have been renamed to roles, and texts out of them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gecko_kedro.corpus.quarantine import QuarantineRow, quarantine_row
from gecko_kedro.corpus.values import as_text, is_missing

Negative = dict[str, str | None]


class RoleRow(NamedTuple):
    """One row of a source: where it was read, and its values by role."""

    where: str
    values: Mapping[str, Any]


class UnfitRow(Exception):
    """This row makes no example; ``reason`` is the name under which it is counted."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason, self.detail = reason, detail


@dataclass
class Converted:
    """Rows of the unified format, as dicts, and the rows that made none."""

    examples: list[dict[str, Any]] = field(default_factory=list)
    quarantined: list[QuarantineRow] = field(default_factory=list)

    def set_aside(self, row: RoleRow, reason: str, detail: str = "") -> None:
        """Count ``row`` as bad."""
        self.quarantined.append(
            quarantine_row(row.where, row.where, reason=reason, detail=detail, record=row.values)
        )

    def optional_text(self, row: RoleRow, role: str) -> str | None:
        """The text of ``role``; what is no text is set aside alone, and the row goes on without."""
        try:
            return as_text(row.values.get(role))
        except TypeError as error:
            self.set_aside(row, f"{role}_is_no_text", f"{error}; the row is kept without it")
            return None

    def convert(self, rows: Iterable[RoleRow], one: Callable[[RoleRow], None]) -> None:
        """Call ``one`` with each row; a row for which it raises UnfitRow is set aside."""
        for row in rows:
            try:
                one(row)
            except UnfitRow as unfit:
                self.set_aside(row, unfit.reason, unfit.detail)


def example(query: str, positive: str, **more: Any) -> dict[str, Any]:
    """A row of the unified format, without data set, task and symmetry, which are the source's."""
    absent: dict[str, Any] = dict.fromkeys(("positive_title", "teacher_scores", "label"))
    return {"query": query, "positive": positive, "negatives": []} | absent | more


def text_of(values: Mapping[str, Any], role: str) -> str:
    """The text of ``role``; UnfitRow for one that is missing or no text."""
    value = values.get(role)
    if is_missing(value):
        raise UnfitRow(f"no_{role}")
    if not isinstance(value, str):
        raise UnfitRow(f"{role}_is_no_text", f"a {type(value).__name__}")
    return value


def passages_of(values: Mapping[str, Any], role: str) -> list[Negative]:
    """Title and text of each passage under ``role``: a text, a record, or a list of either.

    A record has ``text`` and may have ``title``, as in MIRACL. None are none.
    """
    value = values.get(role)
    if is_missing(value):
        return []
    return [_passage(item, role) for item in (value if isinstance(value, list) else [value])]


def _passage(item: Any, role: str) -> Negative:
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
