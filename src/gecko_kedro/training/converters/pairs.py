"""Pairs with or without negatives: QA, title and body, search logs, MIRACL, triples."""

from collections.abc import Iterable

from gecko_kedro.training.converters.roles import (
    Converted,
    RoleRow,
    UnfitRow,
    example,
    passages_of,
    text_of,
)

ROLES = ("query", "positive", "positive_title", "negatives")


def convert_pairs(rows: Iterable[RoleRow]) -> Converted:
    """One example for each positive of a row; all share the row's negatives.

    Roles: query; positive: a text, a record of ``title`` and ``text`` or a list of either (MIRACL's
    ``positive_passages``); negatives: the same; positive_title: where the positive is a text.
    Quarantined: ``no_query``, ``no_positive``, ``..._is_no_text`` (of a
    title: the row is kept without it).
    """
    made = Converted()

    def one(row: RoleRow) -> None:
        query = text_of(row.values, "query")
        positives = passages_of(row.values, "positive")
        negatives = passages_of(row.values, "negatives")
        if not positives:
            raise UnfitRow("no_positive")
        given = made.optional_text(row, "positive_title")
        for positive in positives:
            title = positive["title"] or given
            made.examples.append(
                example(query, positive["text"] or "", positive_title=title, negatives=negatives)
            )

    made.convert(rows, one)
    return made
