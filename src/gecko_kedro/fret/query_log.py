"""Real queries beside synthetic ones, or instead of them."""

import polars as pl

from gecko_kedro.corpus.splits import cap
from gecko_kedro.fret.schemas import QUERY
from gecko_kedro.fret.settings import JoinSettings


def join_query_log(
    synthetic: pl.DataFrame, log: pl.DataFrame, settings: JoinSettings = JoinSettings()
) -> pl.DataFrame:
    """QUERY rows: the synthetic ones and the log's (``join``), or the log's alone (``replace``).

    ``log`` has query_id and query; at most ``max_queries`` of it are taken. Its rows have no seed
    passage, and ``task_name`` for their task. An empty log changes nothing.
    """
    if log.is_empty():
        return synthetic
    log = cap(log, limit=settings.max_queries, seed=settings.seed, id_column="query_id")
    real = as_queries(log, task_name=settings.task_name).with_columns(
        pl.concat_str(pl.lit("log:"), "query_id").alias("query_id")
    )
    return real if settings.use == "replace" else pl.concat([synthetic.select(real.columns), real])


def as_queries(log: pl.DataFrame, *, task_name: str) -> pl.DataFrame:
    """QUERY rows of ``log`` (query_id, query), which have no seed passage."""
    return log.select(
        "query_id",
        pl.lit(task_name).alias("task"),
        pl.lit(task_name).alias("task_name"),
        "query",
        pl.lit(None).alias("passage_id"),
        pl.lit("log").alias("origin"),
    ).cast(dict(QUERY))  # type: ignore[arg-type]
