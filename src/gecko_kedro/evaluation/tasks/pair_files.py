"""Reading retrieval and reranking tasks that are one table of queries with their passages."""

from pathlib import Path
from typing import Any

import polars as pl

from gecko_kedro.base.errors import InputError
from gecko_kedro.corpus.values import whole_numbers
from gecko_kedro.evaluation.tasks.retrieval import CheckedData, checked
from gecko_kedro.evaluation.tasks.retrieval_files import refusing
from gecko_kedro.evaluation.tasks.row_files import choose_columns, read_split
from gecko_kedro.evaluation.tasks.settings import TaskPrompt, TaskSettings

_LONG = {
    "query": ("query",),
    "candidate": ("candidate", "passage", "document"),
    "label": ("label", "score", "relevance"),
}
_LISTS = {"query": ("query",), "positive": ("positive",), "negative": ("negative",)}
_PAIRS = {"query": ("query", "title"), "text": ("text", "positive", "abstract")}


def read_reranking(path: Path, settings: TaskSettings, prompt: TaskPrompt) -> CheckedData:
    """Candidates to put in order for each query; a label above 0 means relevant.

    ``path`` is a file, or a folder with ``<split>.parquet`` (.jsonl, .csv, .tsv), of ``query,
    candidate, label`` or, as mteb had it in 2022, of ``query, positive[], negative[]``. Equal
    queries are one query.
    """

    def choose(raw: pl.DataFrame, where: str) -> pl.DataFrame:
        if {"positive", "negative"} <= set(raw.columns):
            return _from_lists(choose_columns(raw, _LISTS, settings.columns, where=where))
        return choose_columns(raw, _LONG, settings.columns, where=where)

    long, aside = read_split(path, settings.split, choose)
    with refusing(str(path), expected="texts, and whole numbers as labels"):
        rows = long.select(
            pl.col("query").cast(pl.String), text=pl.col("candidate").cast(pl.String),
            score=whole_numbers(long["label"]),
        ).with_columns(query_id=_numbered("query", "q"))  # fmt: skip
    number = pl.int_range(pl.len()).over("query_id")
    rows = rows.with_columns(passage_id=pl.format("{}-{}", "query_id", number))
    return _checked(rows, rows, settings, prompt, where=str(path), quarantine=aside)


def read_pairs(path: Path, settings: TaskSettings, prompt: TaskPrompt) -> CheckedData:
    """Each row a ``query`` and the ``text`` that answers it, all texts together the corpus.

    Equal texts are one passage and equal queries one query. The names may be ``title`` and
    ``abstract``, ``query`` and ``positive``, or what ``columns`` says.
    """

    def choose(raw: pl.DataFrame, where: str) -> pl.DataFrame:
        return choose_columns(raw, _PAIRS, settings.columns, where=where)

    chosen, aside = read_split(path, settings.split, choose)
    with refusing(str(path), expected="texts"):
        rows = chosen.cast(pl.String).with_columns(
            query_id=_numbered("query", "q"), passage_id=_numbered("text", "p"), score=pl.lit(1)
        )
    judged = rows.unique(["query_id", "passage_id"], keep="first", maintain_order=True)
    corpus = rows.unique("passage_id", keep="first", maintain_order=True)
    return _checked(corpus, judged, settings, prompt, where=str(path), quarantine=aside)


def _checked(
    corpus: pl.DataFrame,
    judged: pl.DataFrame,
    settings: TaskSettings,
    prompt: TaskPrompt,
    **aside: Any,
) -> CheckedData:
    queries = judged.unique("query_id", keep="first", maintain_order=True)
    return checked(
        settings.name,
        corpus.select(id="passage_id", title=pl.lit(None), text="text"),
        queries.select(id="query_id", text="query", group="query_id"),
        judged.select("query_id", "passage_id", "score"),
        **aside, reranking=settings.type == "Reranking",
        **prompt._asdict(),
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
    numbered = rows.with_row_index("_row")
    sides = [
        numbered.select("_row", "query", candidate=side, label=pl.lit(label)).explode("candidate")
        for side, label in (("positive", 1), ("negative", 0))
    ]
    long = pl.concat(sides).drop_nulls("candidate")
    return long.sort("_row", maintain_order=True).drop("_row")
