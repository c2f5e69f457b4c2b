"""The base form that a language model is adapted in: a passage, a kind of query, the query."""

ANY_KIND = "query"  # for the likelihood of a query of whichever kind


def passage_head(passage: str, title: str | None) -> str:
    """Title and passage, of which the model reads the beginning."""
    heading = f"{title.strip()}\n" if title and title.strip() else ""
    return f"{heading}{passage.strip()}"


def query_prefix(head: str, kind: str) -> str:
    """What a query of ``kind`` comes after; the query follows a blank."""
    return f"{head}\n\n{kind}:"
