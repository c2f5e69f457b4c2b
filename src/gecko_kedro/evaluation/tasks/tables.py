"""Several tasks as three tables, so that a catalog can keep them."""

from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from gecko_kedro.evaluation.scoring.schemas import CORPUS_SCHEMA, QRELS_SCHEMA, QUERIES_SCHEMA
from gecko_kedro.evaluation.tasks.retrieval import RetrievalData

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


def to_tables(tasks: Sequence[RetrievalData]) -> TaskTables:
    """All tasks in three tables."""

    def stacked(frames: list[pl.DataFrame], schema: pl.Schema) -> pl.DataFrame:
        chosen = [frame.select(schema.names()) for frame in frames]
        return pl.concat([pl.DataFrame(schema=schema), *chosen])

    named = [(data, pl.lit(data.name).alias("task")) for data in tasks]
    prompt = [(pl.lit(d.task).alias("task_name"), pl.lit(d.symmetric).alias("symmetric"),
               pl.lit(d.reranking).alias("reranking")) for d in tasks]  # fmt: skip
    return TaskTables(
        stacked([d.corpus.with_columns(name) for d, name in named], TASK_CORPUS_SCHEMA),
        stacked([d.queries.with_columns(name, *more)
                 for (d, name), more in zip(named, prompt, strict=True)], TASK_QUERIES_SCHEMA),
        stacked([d.qrels.with_columns(name) for d, name in named], TASK_QRELS_SCHEMA),
    )  # fmt: skip


def from_tables(
    corpus: pl.DataFrame, queries: pl.DataFrame, qrels: pl.DataFrame
) -> list[RetrievalData]:
    """The tasks again, in the order of ``queries``; the inverse of ``to_tables``."""
    return [
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
