"""Which texts training must not see: queries and positives of everything that is evaluated."""

from collections.abc import Iterable, Sequence

import polars as pl

from gecko_kedro.corpus.schemas import EVALUATION_TEXT_SCHEMA
from gecko_kedro.evaluation.tasks.registered import RegisteredTask
from gecko_kedro.evaluation.tasks.retrieval import RetrievalData
from gecko_kedro.evaluation.tasks.rows import RowTask

Task = RetrievalData | RowTask | RegisteredTask
_COLUMNS = {
    "STS": ("sentence1", "sentence2"),
    "PairClassification": ("sentence1", "sentence2"),
    "Summarization": ("text", "human_summaries", "machine_summaries"),
}


def evaluation_texts(tasks: Iterable[Task]) -> pl.DataFrame:
    """Every distinct query and positive of the tasks (EVALUATION_TEXT_SCHEMA), in their order.

    Of retrieval and reranking the queries and their relevant passages, of pairs both sides, of
    classification the texts that are tested on, of clustering all texts, of summarization texts
    and summaries. Tasks of mteb are loaded from the hub; one that cannot be gives nothing, as it
    gives no score either, and is named in the log.
    """
    found = [pl.DataFrame(schema=EVALUATION_TEXT_SCHEMA)]
    for task in tasks:
        if isinstance(task, RetrievalData):
            relevant = task.qrels.filter(pl.col("score") > 0)["passage_id"].unique()
            positives = task.corpus.filter(pl.col("id").is_in(relevant.implode()))
            for side, table in (("query", task.queries), ("passage", positives)):
                found.append(
                    texts_of(table, task=task.name, side=side, ids=_named(side), of=["text"])
                )
        elif isinstance(task, RowTask):
            found.append(_of_rows(task))
        else:
            found.append(_of_registered(task))
    return pl.concat(found).unique(["side", "text"], keep="first", maintain_order=True)


def texts_of(
    table: pl.DataFrame, *, task: str, side: str, ids: pl.Expr, of: Sequence[str]
) -> pl.DataFrame:
    """The texts in the columns ``of``, lists included and blanks left out, under ``ids``."""
    found = [pl.DataFrame(schema=EVALUATION_TEXT_SCHEMA)]
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


def _named(kind: str) -> pl.Expr:
    return pl.format(kind + " {}", "id")


def _of_rows(task: RowTask) -> pl.DataFrame:
    rows = task.rows.with_row_index("id")
    if task.type == "Classification":
        rows = rows.filter(split="test")
    columns = _COLUMNS.get(task.type, ("text",))
    return texts_of(rows, task=task.name, side="query", ids=_named("row"), of=columns)


def _of_registered(task: RegisteredTask) -> pl.DataFrame:
    from gecko_kedro.evaluation.tasks.registered_texts import loaded_texts

    rows = [(task.name, *found) for found in loaded_texts(task) if found[-1].strip()]
    return pl.DataFrame(rows, schema=EVALUATION_TEXT_SCHEMA, orient="row")
