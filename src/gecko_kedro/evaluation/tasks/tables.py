"""Several tasks as three tables, so that a catalog can keep them."""

from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from gecko_kedro.evaluation.tasks.retrieval import (
    CORPUS_SCHEMA,
    QRELS_SCHEMA,
    QUERIES_SCHEMA,
    RetrievalData,
)
from gecko_kedro.evaluation.tasks.task import Task

_OF_A_TASK = ("task_name", "symmetric", "reranking")  # task_name: what stands in the prompt
TASK_CORPUS_SCHEMA = pl.Schema({"task": pl.String(), **CORPUS_SCHEMA})
TASK_QUERIES_SCHEMA = pl.Schema(
    {
        "task": pl.String(),
        **dict(zip(_OF_A_TASK, (pl.String(), pl.Boolean(), pl.Boolean()), strict=True)),
        **QUERIES_SCHEMA,
    }
)
TASK_QRELS_SCHEMA = pl.Schema({"task": pl.String(), **QRELS_SCHEMA})


class TaskTables(NamedTuple):
    """TASK_CORPUS_SCHEMA, TASK_QUERIES_SCHEMA, TASK_QRELS_SCHEMA."""

    corpus: pl.DataFrame
    queries: pl.DataFrame
    qrels: pl.DataFrame


def to_tables(tasks: Sequence[Task]) -> TaskTables:
    """The retrieval and reranking tasks among ``tasks``; the others have no such tables."""
    tables = ([TASK_CORPUS_SCHEMA.to_frame()], [TASK_QUERIES_SCHEMA.to_frame()],
              [TASK_QRELS_SCHEMA.to_frame()])  # fmt: skip
    for data in tasks:
        if not isinstance(data, RetrievalData):
            continue
        name = pl.lit(data.name).alias("task")
        more = map(pl.lit, (data.task, data.symmetric, data.reranking))
        queries = data.queries.with_columns(name, **dict(zip(_OF_A_TASK, more, strict=True)))
        parts = (data.corpus.with_columns(name), queries, data.qrels.with_columns(name))
        for table, part in zip(tables, parts, strict=True):
            table.append(part.select(table[0].columns))
    return TaskTables(*map(pl.concat, tables))


def from_tables(
    corpus: pl.DataFrame, queries: pl.DataFrame, qrels: pl.DataFrame, *, others: Sequence[Task] = ()
) -> list[Task]:
    """The tasks again, in the order of ``queries``, then those of ``others`` without tables."""
    ranked: list[Task] = [
        RetrievalData(
            str(name),
            corpus.filter(task=name).select(CORPUS_SCHEMA.names()),
            rows.select(QUERIES_SCHEMA.names()),
            qrels.filter(task=name).select(QRELS_SCHEMA.names()),
            *rows.select(_OF_A_TASK).row(0),
        )
        for (name,), rows in queries.group_by("task", maintain_order=True)
    ]
    known = {task.name for task in ranked}
    return [*ranked, *(task for task in others if task.name not in known)]


def query_groups(queries: pl.DataFrame) -> pl.DataFrame:
    """``task, query_id, group`` of TASK_QUERIES_SCHEMA, as the intervals want them."""
    return queries.select("task", pl.col("id").alias("query_id"), "group")
