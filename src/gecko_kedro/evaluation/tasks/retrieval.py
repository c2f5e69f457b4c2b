"""Retrieval tasks as data: corpus, queries and relevance judgements, checked and with a digest."""

import hashlib
import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import polars as pl

from gecko_kedro.base.errors import InputError, Words
from gecko_kedro.corpus.quarantine import quarantine_row, quarantine_table
from gecko_kedro.corpus.schemas import QUARANTINE_SCHEMA
from gecko_kedro.evaluation.tasks.settings import TaskType
from gecko_kedro.evaluation.tasks.task import Checked, texts_of

CORPUS_SCHEMA = pl.Schema({"id": pl.String, "title": pl.String, "text": pl.String})
# Queries of one group (the package, else the query's id) are resampled together by the bootstrap.
QUERIES_SCHEMA = pl.Schema({"id": pl.String, "text": pl.String, "group": pl.String})
# A score above 0 means relevant; the higher the better. A title may be null.
QRELS_SCHEMA = pl.Schema({"query_id": pl.String, "passage_id": pl.String, "score": pl.Int64})


@dataclass(frozen=True)
class RetrievalData:
    """One retrieval task: CORPUS_SCHEMA, QUERIES_SCHEMA, QRELS_SCHEMA and the prompt's task name.

    Every judgement refers to a known query and passage, every query has a relevant passage, ids
    are unique and no query is empty; ``checked`` makes such data out of tables that may not be so.
    A passage may be empty, as some in BEIR are: without it the judgements would change.
    ``symmetric``: queries and passages are the same kind of text, so both get the query template.
    ``reranking``: the candidates of a query are its judged passages, those with 0 included.
    """

    name: str
    corpus: pl.DataFrame
    queries: pl.DataFrame
    qrels: pl.DataFrame
    task: str = "search result"
    symmetric: bool = False
    reranking: bool = False

    def __post_init__(self) -> None:
        check_name(self.name)
        problems = _problems(self.corpus, self.queries, self.qrels)
        bad = [f"{mask.sum()} rows of {table}: {reason}" for table, reason, mask in problems]
        empty = [t for t in ("corpus", "queries", "qrels") if getattr(self, t).is_empty()]
        if bad or empty:
            raise InputError(
                f"retrieval task {self.name}", expected="unique ids, texts and known references",
                got=Words("; ".join(bad + [f"no rows in {table}" for table in empty])),
                fix="Give the tables to evaluation.tasks.checked, which sets bad rows aside.",
            )  # fmt: skip

    @property
    def type(self) -> TaskType:
        return "Reranking" if self.reranking else "Retrieval"

    @property
    def size(self) -> str:
        return f"{self.queries.height:,} queries, {self.corpus.height:,} passages"

    @cached_property
    def digest(self) -> str:
        """SHA-256 (first 16 hex digits) of what is scored: order and groups do not matter."""
        how = [self.name, self.task, self.symmetric, self.reranking]
        sha = hashlib.sha256(json.dumps(how).encode())
        for frame in (self.corpus, self.queries.drop("group"), self.qrels):
            for row in frame.sort(frame.columns[:2]).iter_rows():
                sha.update(json.dumps(row).encode())
            sha.update(b"\x00")
        return sha.hexdigest()[:16]

    @property
    def revision(self) -> str:
        return self.digest

    def texts(self) -> pl.DataFrame:
        """EVALUATION_TEXT_SCHEMA: the queries, and the passages that are relevant to one."""
        relevant = self.qrels.filter(pl.col("score") > 0)["passage_id"].unique()
        positives = self.corpus.filter(pl.col("id").is_in(relevant.implode()))
        return pl.concat(
            texts_of(
                table, task=self.name, side=side, ids=pl.format(side + " {}", "id"), of=["text"]
            )
            for side, table in (("query", self.queries), ("passage", positives))
        )

    def to_mteb(self) -> Any:
        """Retrieval, or reranking of the judged passages, out of memory.

        mteb's own loader reads a folder through the cache of ``datasets`` in the user's home, which
        offline gave one folder's rows for another folder of the same name (datasets 5.2).
        """
        from datasets import Dataset

        from gecko_kedro.evaluation.tasks.mteb_tasks import local_task

        relevant: dict[str, dict[str, int]] = {}
        for query, passage, score in self.qrels.iter_rows():
            relevant.setdefault(query, {})[passage] = score
        titled = self.corpus.with_columns(pl.col("title").fill_null(""))  # mteb refuses null
        data = {
            "corpus": Dataset.from_dict(titled.to_dict(as_series=False)),
            "queries": Dataset.from_dict(
                self.queries.select("id", "text").to_dict(as_series=False)
            ),
            "relevant_docs": relevant,
            "top_ranked": {q: list(p) for q, p in relevant.items()} if self.reranking else None,
        }
        # mteb's cut-offs end at 1,000, ten times slower to rank; only reranking's score needs it.
        settings = {} if self.reranking else {"k_values": (1, 3, 5, 10, 20, 100)}
        return local_task(self, {"default": {"test": data}}, settings)


CheckedData: TypeAlias = Checked[RetrievalData]


def checked(
    name: str,
    corpus: pl.DataFrame,
    queries: pl.DataFrame,
    qrels: pl.DataFrame,
    *,
    where: str,
    quarantine: pl.DataFrame = QUARANTINE_SCHEMA.to_frame(),
    **how: Any,
) -> CheckedData:
    """Set rows aside that cannot be scored and build the task from the rest.

    Of rows with the same id the first stays. A judgement goes with its query or passage, and then
    a query without a relevant passage goes too. ``quarantine``: rows set aside while reading.
    ``how``: ``task``, ``symmetric`` and ``reranking`` of the task. Nothing left to score raises
    ``InputError``.
    """
    aside = [quarantine]
    tables = {
        "corpus": corpus.select(CORPUS_SCHEMA.names())
        .cast(CORPUS_SCHEMA)
        .with_columns(pl.col("text").fill_null("")),
        "queries": queries.select(QUERIES_SCHEMA.names()).cast(QUERIES_SCHEMA),
        "qrels": qrels.select(QRELS_SCHEMA.names()).cast(QRELS_SCHEMA),
    }
    while problems := _problems(**tables):
        table, reason, mask = problems[0]
        at, detail = f"{where}, {table}", f"{table} of {name}"
        tables[table], bad = set_aside(tables[table], mask, where=at, reason=reason, detail=detail)
        aside.append(bad)
    if any(frame.is_empty() for frame in tables.values()):
        raise InputError(
            where, expected="at least one query with a relevant passage in the corpus",
            got={key: frame.height for key, frame in tables.items()},
            fix="Check that the ids of the judgements are those of the queries and the corpus.",
        )  # fmt: skip
    data = RetrievalData(name, tables["corpus"], tables["queries"], tables["qrels"], **how)
    return Checked(data, pl.concat(aside))


def check_name(name: str) -> None:
    """Raise ``InputError`` for a task's name that could not name a folder or a table."""
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name):
        raise InputError(
            "name of a task", expected="letters, digits, '_', '-' and '.'",
            got=name, fix="Rename it: folders and tables are named after it.",
        )  # fmt: skip


def set_aside(
    table: pl.DataFrame, bad: pl.Series | pl.Expr, *, where: str, reason: str, detail: str
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows that are not ``bad``, and the others (QUARANTINE_SCHEMA)."""
    rows = table.filter(bad).iter_rows(named=True)
    aside = [
        quarantine_row(where, str(row.get("id", row.get("query_id", ""))), reason=reason,
                       detail=detail, record=row)
        for row in rows
    ]  # fmt: skip
    return table.filter(~bad), quarantine_table(aside)


def _problems(
    corpus: pl.DataFrame, queries: pl.DataFrame, qrels: pl.DataFrame
) -> list[tuple[str, str, pl.Series]]:
    """``(table, reason, mask of its rows)`` of every rule that some row breaks."""
    relevant = qrels.filter(pl.col("score") > 0)
    judged = qrels.select("query_id", "passage_id")
    found = [
        ("corpus", "missing_id", _blank(corpus["id"])),
        ("corpus", "duplicate_id", ~corpus["id"].is_first_distinct()),
        ("queries", "missing_id", _blank(queries["id"])),
        ("queries", "duplicate_id", ~queries["id"].is_first_distinct()),
        ("queries", "empty_query", _blank(queries["text"])),
        ("qrels", "no_integer_score", qrels["score"].is_null()),
        ("qrels", "duplicate_judgement", ~judged.to_struct().is_first_distinct()),
        ("qrels", "unknown_query", ~_among(qrels["query_id"], queries["id"])),
        ("qrels", "unknown_passage", ~_among(qrels["passage_id"], corpus["id"])),
        ("queries", "no_relevant_passage", ~_among(queries["id"], relevant["query_id"])),
    ]
    return [problem for problem in found if problem[2].any()]


def _blank(texts: pl.Series) -> pl.Series:
    return texts.fill_null("").str.strip_chars() == ""


def _among(values: pl.Series, known: pl.Series) -> pl.Series:
    return values.is_in(known.unique().implode()).fill_null(False)
