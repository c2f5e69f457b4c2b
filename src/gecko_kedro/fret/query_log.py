"""Real queries beside synthetic ones, or instead of them."""

from typing import Literal

import polars as pl

from gecko_kedro.fret.schemas import QUERY


def join_query_log(
    synthetic: pl.DataFrame,
    log: pl.DataFrame,
    *,
    use: Literal["join", "replace"],
    task_name: str,
) -> pl.DataFrame:
    """QUERY rows: the synthetic ones and the log's (``join``), or the log's alone (``replace``).

    ``log`` has query_id and query. Its rows have no seed passage, and ``task_name`` for their task.
    An empty log changes nothing.
    """
    if log.is_empty():
        return synthetic
    real = log.select(
        pl.concat_str(pl.lit("log:"), "query_id").alias("query_id"),
        pl.lit(task_name).alias("task"),
        pl.lit(task_name).alias("task_name"),
        "query",
        pl.lit(None, dtype=pl.String).alias("passage_id"),
        pl.lit("log").alias("origin"),
    )
    rows = [real] if use == "replace" else [synthetic.select(real.columns), real]
    return pl.concat(rows).cast(dict(QUERY))  # type: ignore[arg-type]
