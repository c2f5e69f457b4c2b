"""Several tasks as three tables, so that a catalog can keep them."""

from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from gecko_kedro.evaluation.tasks.retrieval import RetrievalData
from gecko_kedro.evaluation.tasks.schemas import CORPUS_SCHEMA, QRELS_SCHEMA, QUERIES_SCHEMA
from gecko_kedro.evaluation.tasks.task import Task

TASK_CORPUS_SCHEMA = pl.Schema([("task", pl.String()), *CORPUS_SCHEMA.items()])
TASK_QUERIES_SCHEMA = pl.Schema(
    [
        ("task", pl.String()),
        ("task_name", pl.String()),  # what stands in the prompt
        ("symmetric", pl.Boolean()),
        ("reranking", pl.Boolean()),
        *QUERIES_SCHEMA.items(),
    ]
)
TASK_QRELS_SCHEMA = pl.Schema([("task", pl.String()), *QRELS_SCHEMA.items()])


class TaskTables(NamedTuple):
    """TASK_CORPUS_SCHEMA, TASK_QUERIES_SCHEMA, TASK_QRELS_SCHEMA."""

    corpus: pl.DataFrame
    queries: pl.DataFrame
    qrels: pl.DataFrame


def to_tables(tasks: Sequence[Task]) -> TaskTables:
    """The retrieval and reranking tasks among ``tasks``; the others have no such tables."""
    parts = [_tables(task) for task in tasks if isinstance(task, RetrievalData)]
    schemas = (TASK_CORPUS_SCHEMA, TASK_QUERIES_SCHEMA, TASK_QRELS_SCHEMA)
    return TaskTables(
        *(
            pl.concat([schema.to_frame(), *(part[place].select(schema.names()) for part in parts)])
            for place, schema in enumerate(schemas)
        )
    )


def from_tables(
    corpus: pl.DataFrame,
    queries: pl.DataFrame,
    qrels: pl.DataFrame,
    *,
    others: Sequence[Task] = (),
) -> list[Task]:
    """The tasks again, in the order of ``queries``, then those of ``others`` without tables."""
    ranked: list[Task] = [
        RetrievalData(
            str(name),
            corpus.filter(task=name).select(CORPUS_SCHEMA.names()),
            rows.select(QUERIES_SCHEMA.names()),
            qrels.filter(task=name).select(QRELS_SCHEMA.names()),
            task=rows["task_name"][0],
            symmetric=rows["symmetric"][0],
            reranking=rows["reranking"][0],
        )
        for (name,), rows in queries.group_by("task", maintain_order=True)
    ]
    known = {task.name for task in ranked}
    return [*ranked, *(task for task in others if task.name not in known)]


def query_groups(queries: pl.DataFrame) -> pl.DataFrame:
    """``task, query_id, group`` of TASK_QUERIES_SCHEMA, as the intervals want them."""
    return queries.select("task", pl.col("id").alias("query_id"), "group")


def _tables(data: RetrievalData) -> TaskTables:
    name = pl.lit(data.name).alias("task")
    return TaskTables(
        data.corpus.with_columns(name),
        data.queries.with_columns(
            name,
            task_name=pl.lit(data.task),
            symmetric=pl.lit(data.symmetric),
            reranking=pl.lit(data.reranking),
        ),
        data.qrels.with_columns(name),
    )
