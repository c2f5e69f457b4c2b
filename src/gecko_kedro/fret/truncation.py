"""Texts cut to the tokens that the teacher may read, and how many were cut."""

from collections.abc import Sequence

import polars as pl

from gecko_kedro.teacher.protocol import Teacher

_TITLE_TOKENS = 64  # what is longer is no title, and must not push the passage out of the window


Row = tuple[str, str | None, str]  # passage id, title, text


def cut_passages(
    passages: pl.DataFrame, teacher: Teacher, max_tokens: int | None
) -> list[tuple[Row, bool]]:
    """Each passage as the teacher reads it, and whether its title or text lost its end.

    Texts are at most ``max_tokens`` long, None leaves all as they are. A title may have 64 tokens
    besides.
    """
    rows = passages.select("passage_id", "title", "text").rows()
    if max_tokens is None:
        return [(row, False) for row in rows]
    texts = teacher.truncate([text for _, _, text in rows], max_tokens)
    titles = teacher.truncate([title or "" for _, title, _ in rows], _TITLE_TOKENS)
    shown = [
        (passage_id, short_title if title else title, short)
        for (passage_id, title, _), short_title, short in zip(rows, titles, texts, strict=True)
    ]
    return [(ours, ours != row) for ours, row in zip(shown, rows, strict=True)]


def cut_queries(queries: Sequence[str], teacher: Teacher, max_tokens: int | None) -> list[str]:
    """Queries in their order, at most ``max_tokens`` long; None leaves all as they are."""
    return list(queries) if max_tokens is None else teacher.truncate(queries, max_tokens)
