"""From the declarations of tasks to tasks that can be scored; tables of pairs are read here."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from gecko_kedro.base.errors import InputError
from gecko_kedro.corpus.schemas import QUARANTINE_SCHEMA
from gecko_kedro.corpus.values import whole_numbers
from gecko_kedro.corpus.written import judged_queries
from gecko_kedro.evaluation.tasks.registered import registered_tasks
from gecko_kedro.evaluation.tasks.retrieval import CheckedData, checked
from gecko_kedro.evaluation.tasks.retrieval_files import read_retrieval_data, refusing
from gecko_kedro.evaluation.tasks.row_files import choose_columns, read_row_task, read_split
from gecko_kedro.evaluation.tasks.rows import CheckedRows
from gecko_kedro.evaluation.tasks.settings import (
    PYTHON_STDLIB,
    TaskPrompt,
    TaskPrompts,
    TaskSettings,
)
from gecko_kedro.evaluation.tasks.task import ReadTasks, Task

_LONG = {
    "query": ("query",),
    "candidate": ("candidate", "passage", "document"),
    "label": ("label", "score", "relevance"),
}
_LISTS = {"query": ("query",), "positive": ("positive",), "negative": ("negative",)}
_PAIRS = {"query": ("query", "title"), "text": ("text", "positive", "abstract")}


def read_tasks(
    settings: Sequence[TaskSettings], prompts: TaskPrompts, *, root: Path | None = None
) -> ReadTasks:
    """Read the local tasks and look up those of mteb; relative paths are below ``root``.

    A missing file, folder or column, a task with nothing to score, an unknown name and a name given
    twice raise ``InputError``; bad rows are set aside.
    """
    tasks: list[Task] = []
    aside = [QUARANTINE_SCHEMA.to_frame()]
    for one in settings:
        if one.path is None:
            tasks.extend(registered_tasks(one, prompts))
            continue
        read = _read_task(one, prompts, root=root)
        tasks.append(read.data)
        aside.append(read.quarantine)
    names = [task.name for task in tasks]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(
            "evaluate.tasks", expected="each task once", got=twice, fix="Rename or remove one."
        )
    return ReadTasks(tasks, pl.concat(aside))


def _read_task(
    settings: TaskSettings, prompts: TaskPrompts, *, root: Path | None
) -> CheckedData | CheckedRows:
    assert settings.path is not None  # a local task, and
    assert settings.type is not None  # TaskSettings sees to it that it has both
    path = (root or Path()) / Path(settings.path).expanduser()
    prompt = prompts.of(settings.name, settings.type, settings)
    if settings.type not in {"Retrieval", "Reranking"}:
        return read_row_task(path, settings, prompt)
    if settings.path == PYTHON_STDLIB:
        return read_written_task(settings, prompt)
    reranking = settings.type == "Reranking"
    if path.is_dir() and any(path.glob("corpus*")):
        # Reranking: the judged passages, 0 included, are the candidates.
        return read_retrieval_data(
            path, name=settings.name, split=settings.split, columns=settings.columns,
            reranking=reranking, **prompt._asdict(),
        )  # fmt: skip
    return (read_reranking if reranking else read_pairs)(path, settings, prompt)


def read_written_task(settings: TaskSettings, prompt: TaskPrompt) -> CheckedData:
    """The queries about the standard library, of which those about one module are a group."""
    made = judged_queries()
    return checked(
        settings.name,
        made.documents.select(id="passage_id", title="passage_id", text="text"),
        made.queries.select(
            id="query_id", text="query", group=pl.col("written_for").str.extract(r"^(\w+)")
        ),
        made.judgements.select("query_id", "passage_id", score="grade"),
        where=PYTHON_STDLIB, quarantine=made.quarantine,
        reranking=settings.type == "Reranking", **prompt._asdict(),
    )  # fmt: skip


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
