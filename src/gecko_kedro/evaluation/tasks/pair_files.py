"""Reading retrieval and reranking tasks that are one table of queries with their passages."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from gecko_kedro.base.errors import InputError
from gecko_kedro.corpus.values import whole_numbers
from gecko_kedro.evaluation.tasks.retrieval import CheckedData, checked
from gecko_kedro.evaluation.tasks.retrieval_files import read_retrieval_data, refusing
from gecko_kedro.evaluation.tasks.row_files import choose_columns, read_split

_LONG = {
    "query": ("query",),
    "candidate": ("candidate", "passage", "document"),
    "label": ("label", "score", "relevance"),
}
_LISTS = {"query": ("query",), "positive": ("positive",), "negative": ("negative",)}
_PAIRS = {"query": ("query", "title"), "text": ("text", "positive", "abstract")}


def read_reranking(
    path: str | Path,
    *,
    name: str,
    split: str = "test",
    columns: Mapping[str, str] | None = None,
    task: str,
    symmetric: bool = False,
) -> CheckedData:
    """Candidates to put in order for each query; a label above 0 means relevant.

    ``path`` is a retrieval folder, whose judged passages (0 included) are the candidates, or a
    table ``<split>.parquet`` (.jsonl, .csv, .tsv) of ``query, candidate, label`` or, as mteb had it
    in 2022, of ``query, positive[], negative[]``. Equal queries are one query.
    """
    folder = Path(path).expanduser()
    if folder.is_dir() and any(folder.glob("corpus*")):
        return read_retrieval_data(
            folder,
            name=name,
            split=split,
            columns=columns,
            task=task,
            symmetric=symmetric,
            reranking=True,
        )

    def choose(raw: pl.DataFrame, where: str) -> pl.DataFrame:
        if {"positive", "negative"} <= set(raw.columns):
            return _from_lists(choose_columns(raw, _LISTS, columns or {}, where=where))
        return choose_columns(raw, _LONG, columns or {}, where=where)

    long, aside = read_split(folder, split, choose)
    with refusing(str(folder), expected="texts, and whole numbers as labels"):
        rows = long.select(
            pl.col("query").cast(pl.String),
            pl.col("candidate").cast(pl.String).alias("text"),
            whole_numbers(long["label"]).alias("score"),
        ).with_columns(_numbered("query", "q").alias("query_id"))
    rows = rows.with_columns(
        pl.format("{}-{}", "query_id", pl.int_range(pl.len()).over("query_id")).alias("passage_id")
    )
    return _checked(rows, rows, name=name, where=str(folder), task=task, symmetric=symmetric,
                    reranking=True, quarantine=aside)  # fmt: skip


def read_pairs(
    path: str | Path,
    *,
    name: str,
    split: str = "test",
    columns: Mapping[str, str] | None = None,
    task: str,
    symmetric: bool = False,
) -> CheckedData:
    """Each row a ``query`` and the ``text`` that answers it, all texts together the corpus.

    Equal texts are one passage and equal queries one query. The names may be ``title`` and
    ``abstract``, ``query`` and ``positive``, or what ``columns`` says.
    """
    folder = Path(path).expanduser()
    chosen, aside = read_split(
        folder, split, lambda raw, where: choose_columns(raw, _PAIRS, columns or {}, where=where)
    )
    with refusing(str(folder), expected="texts"):
        rows = chosen.cast(pl.String).with_columns(
            _numbered("query", "q").alias("query_id"), _numbered("text", "p").alias("passage_id"),
            pl.lit(1).alias("score"),
        )  # fmt: skip
    judged = rows.unique(["query_id", "passage_id"], keep="first", maintain_order=True)
    return _checked(rows.unique("passage_id", keep="first", maintain_order=True), judged, name=name,
                    where=str(folder), task=task, symmetric=symmetric, reranking=False,
                    quarantine=aside)  # fmt: skip


def _checked(
    corpus: pl.DataFrame,
    judged: pl.DataFrame,
    *,
    name: str,
    where: str,
    task: str,
    symmetric: bool,
    reranking: bool,
    quarantine: pl.DataFrame,
) -> CheckedData:
    queries = judged.unique("query_id", keep="first", maintain_order=True)
    return checked(
        name,
        corpus.select(pl.col("passage_id").alias("id"), pl.lit(None).alias("title"), "text"),
        queries.select(pl.col("query_id").alias("id"), pl.col("query").alias("text"),
                       pl.col("query_id").alias("group")),
        judged.select("query_id", "passage_id", "score"),
        where=where, task=task, symmetric=symmetric, reranking=reranking, quarantine=quarantine,
    )  # fmt: skip


def _numbered(column: str, prefix: str) -> pl.Expr:
    """An id for each distinct value: its place in alphabetical order."""
    return pl.format(prefix + "{}", pl.col(column).rank("dense"))


def _from_lists(rows: pl.DataFrame) -> pl.DataFrame:
    """``query, candidate, label`` of rows that have positives and negatives as lists."""
    kinds = {rows.schema[side].base_type() for side in ("positive", "negative")}
    if kinds != {pl.List}:
        raise InputError(
            "reranking table", expected="lists in the columns positive and negative",
            got=sorted(map(str, kinds)), fix="Give the columns query, candidate, label instead.",
        )  # fmt: skip
    sides = [
        rows.with_row_index("_row")
        .select("_row", "query", pl.col(side).alias("candidate"), pl.lit(label).alias("label"))
        .explode("candidate")
        .drop_nulls("candidate")
        for side, label in (("positive", 1), ("negative", 0))
    ]
    return pl.concat(sides).sort("_row", maintain_order=True).drop("_row")
