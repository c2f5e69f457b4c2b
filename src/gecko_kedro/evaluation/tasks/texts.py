"""Which texts training must not see: queries and positives of everything that is evaluated."""

from collections.abc import Iterable, Sequence

import polars as pl

from gecko_kedro.corpus.schemas import EVALUATION_TEXT_SCHEMA
from gecko_kedro.evaluation.tasks.task import Task


def evaluation_texts(tasks: Iterable[Task]) -> pl.DataFrame:
    """Every distinct query and positive of the tasks (EVALUATION_TEXT_SCHEMA), in their order.

    Tasks of mteb are loaded from the hub; one that cannot be gives nothing, as it gives no score
    either, and is named in the log.
    """
    found = pl.concat([EVALUATION_TEXT_SCHEMA.to_frame(), *(task.texts() for task in tasks)])
    return found.unique(["side", "text"], keep="first", maintain_order=True)


def texts_of(
    table: pl.DataFrame, *, task: str, side: str, ids: pl.Expr, of: Sequence[str]
) -> pl.DataFrame:
    """The texts in the columns ``of``, lists included and blanks left out, under ``ids``."""
    found = [EVALUATION_TEXT_SCHEMA.to_frame()]
    for column in of:
        part = table.select(
            pl.lit(task).alias("task"), pl.lit(side).alias("side"), ids.alias("text_id"),
            text=pl.col(column),
        )  # fmt: skip
        if len(of) > 1:
            part = part.with_columns(pl.format("{}, {}", "text_id", pl.lit(column)))
        if part.schema["text"].base_type() == pl.List:
            part = part.explode("text")
        found.append(part.filter(pl.col("text").str.strip_chars() != ""))
    return pl.concat(found)
