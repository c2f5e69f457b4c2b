"""Rows of the unified format, by hand."""

import polars as pl

from gecko_kedro.training.examples import EXAMPLE_SCHEMA


def example(**values: object) -> dict[str, object]:
    """One row; ``negatives`` may be given as plain texts."""
    row = {
        "dataset": "set",
        "task_name": "search result",
        "query": "a question",
        "positive_title": None,
        "positive": "an answer",
        "negatives": [],
        "teacher_scores": None,
        "label": None,
        "symmetric": False,
    } | values
    row["negatives"] = [
        {"title": None, "text": negative} if isinstance(negative, str) else negative
        for negative in row["negatives"]
    ]
    return row


def table(*rows: dict[str, object]) -> pl.DataFrame:
    """Rows with EXAMPLE_SCHEMA."""
    return pl.DataFrame(rows, schema=EXAMPLE_SCHEMA)
