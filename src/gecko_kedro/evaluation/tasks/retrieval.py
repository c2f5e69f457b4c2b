"""Retrieval tasks as data: corpus, queries and relevance judgements, checked and with a digest."""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from gecko_kedro.base.errors import InputError, Words
from gecko_kedro.corpus.quarantine import quarantine_row, quarantine_table
from gecko_kedro.corpus.schemas import QUARANTINE_SCHEMA
from gecko_kedro.evaluation.scoring.schemas import CORPUS_SCHEMA, QRELS_SCHEMA, QUERIES_SCHEMA
from gecko_kedro.evaluation.tasks.settings import TaskType

_README = """---
configs:
- config_name: default
  data_files: [{split: test, path: qrels/test.parquet}]
- config_name: corpus
  data_files: [{split: test, path: corpus/test.parquet}]
- config_name: queries
  data_files: [{split: test, path: queries/test.parquet}]
---
"""


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
        """The type of task as mteb calls it."""
        return "Reranking" if self.reranking else "Retrieval"

    @property
    def size(self) -> str:
        """How much there is, in words."""
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

    def groups(self) -> pl.DataFrame:
        """``task, query_id, group`` of each query, as the bootstrap and the comparison want it."""
        return self.queries.select(
            pl.lit(self.name).alias("task"), pl.col("id").alias("query_id"), "group"
        )

    def write(self, folder: Path) -> Path:
        """Write the layout that mteb's ``RetrievalDatasetLoader`` loads; nothing if it is there.

        Our own runs hand the tables over in memory; this is for others. ``README.md`` names the
        three configurations, and missing titles become "" because mteb refuses null. The digest
        is written last and marks the folder as whole.
        """
        marker = folder / "digest.txt"
        if marker.is_file() and marker.read_text(encoding="utf-8") == self.digest:
            return folder
        marker.unlink(missing_ok=True)
        tables = {
            "corpus": self.corpus.with_columns(pl.col("title").fill_null("")),
            "queries": self.queries.select("id", "text"),
            "qrels": self.qrels.select(
                pl.col("query_id").alias("query-id"), pl.col("passage_id").alias("corpus-id"),
                pl.col("score").cast(pl.Int32),
            ),
        }  # fmt: skip
        for table, frame in tables.items():
            (folder / table).mkdir(parents=True, exist_ok=True)
            frame.write_parquet(folder / table / "test.parquet")
        (folder / "README.md").write_text(_README, encoding="utf-8")
        marker.write_text(self.digest, encoding="utf-8")
        return folder


@dataclass(frozen=True)
class CheckedData:
    """A task that can be scored, the rows that were set aside (QUARANTINE_SCHEMA), and counts."""

    data: RetrievalData
    quarantine: pl.DataFrame
    counts: dict[str, int] = field(default_factory=dict)


def checked(
    name: str,
    corpus: pl.DataFrame,
    queries: pl.DataFrame,
    qrels: pl.DataFrame,
    *,
    where: str,
    task: str = "search result",
    symmetric: bool = False,
    reranking: bool = False,
    quarantine: pl.DataFrame | None = None,
) -> CheckedData:
    """Set rows aside that cannot be scored and build the task from the rest.

    Of rows with the same id the first stays. A judgement goes with its query or passage, and then
    a query without a relevant passage goes too. ``quarantine``: rows set aside while reading.
    Nothing left to score raises ``InputError``.
    """
    aside = [quarantine if quarantine is not None else pl.DataFrame(schema=QUARANTINE_SCHEMA)]
    tables = {
        "corpus": corpus.select(CORPUS_SCHEMA.names())
        .cast(CORPUS_SCHEMA)
        .with_columns(pl.col("text").fill_null("")),
        "queries": queries.select(QUERIES_SCHEMA.names()).cast(QUERIES_SCHEMA),
        "qrels": qrels.select(QRELS_SCHEMA.names()).cast(QRELS_SCHEMA),
    }
    while problems := _problems(**tables):
        table, reason, mask = problems[0]
        rows = tables[table].filter(mask).iter_rows(named=True)
        aside.append(
            quarantined(rows, where=f"{where}, {table}", reason=reason, detail=f"{table} of {name}")
        )
        tables[table] = tables[table].filter(~mask)
    if any(frame.is_empty() for frame in tables.values()):
        raise InputError(
            where, expected="at least one query with a relevant passage in the corpus",
            got={key: frame.height for key, frame in tables.items()},
            fix="Check that the ids of the judgements are those of the queries and the corpus.",
        )  # fmt: skip
    everything = pl.concat(aside)
    reasons = everything.group_by("reason").len().sort("reason")
    counts = {
        "passages": tables["corpus"].height,
        "queries": tables["queries"].height,
        "judgements": tables["qrels"].height,
        "quarantined": everything.height,
        **dict(reasons.iter_rows()),
    }
    data = RetrievalData(name, **tables, task=task, symmetric=symmetric, reranking=reranking)
    return CheckedData(data, everything, counts)


def quarantined_of(checked_data: CheckedData | None) -> pl.DataFrame:
    """Its rows that were set aside; an empty table where there is no such task."""
    return (
        pl.DataFrame(schema=QUARANTINE_SCHEMA) if checked_data is None else checked_data.quarantine
    )


def check_name(name: str) -> None:
    """Raise ``InputError`` for a task's name that could not name a folder or a table."""
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name):
        raise InputError(
            "name of a task", expected="letters, digits, '_', '-' and '.'",
            got=name, fix="Rename it: folders and tables are named after it.",
        )  # fmt: skip


def require_tasks(tasks: Sequence[Any]) -> None:
    """Raise ``InputError`` unless there is something to evaluate on, under names of their own."""
    names = [data.name for data in tasks]
    if not names or len(set(names)) != len(names):
        raise InputError(
            "evaluation tasks", expected="at least one, each with a name of its own",
            got=names or Words("no tasks"),
            fix="Hold out part of the corpus, or name a folder with own queries and judgements.",
        )  # fmt: skip


def quarantined(
    rows: Iterable[dict[str, object]], *, where: str, reason: str, detail: str
) -> pl.DataFrame:
    """The rows in QUARANTINE_SCHEMA."""
    return quarantine_table(
        [
            quarantine_row(where, str(row.get("id", row.get("query_id", ""))), reason=reason,
                           detail=detail, record=row)
            for row in rows
        ]
    )  # fmt: skip


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


def to_mteb_task(data: RetrievalData) -> Any:
    """``data`` as a task for ``mteb.evaluate``."""
    from gecko_kedro.evaluation.scoring.mteb_tasks import retrieval_task

    return retrieval_task(data)
