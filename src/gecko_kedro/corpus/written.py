"""Queries about the standard library, written and judged by hand.

The package has the names of docstrings only; their texts are read from the Python that runs this,
and what its library lacks is set aside.
"""

import logging
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import polars as pl

from gecko_kedro.corpus.python_docs import harvest_sources, stdlib_sources
from gecko_kedro.corpus.quarantine import (
    Checked,
    QuarantineRow,
    count_reasons,
    quarantine_table,
    set_aside,
)
from gecko_kedro.corpus.written_files import read_written

logger = logging.getLogger(__name__)

# The kind of a query -> its task in the inventory of the synthesis prompt (conf/prompts/gecko.yml).
INVENTORY = {
    "beginner question": "question answering",
    "expert question": "question answering",
    "keywords": "keyword search",
    "symptom": "search result",
    "code description": "code search",
    "claim": "fact checking",
    "paraphrase": "sentence similarity",
}
RELEVANT = 2  # the lowest grade that answers a query; 1 is near to it

ADAPTATION_SCHEMA = pl.Schema(
    {
        "passage_id": pl.String,
        "title": pl.String,  # the qualified name, as the id
        "text": pl.String,  # the whole docstring
        "kind": pl.String,
        "task": pl.String,
        "query": pl.String,
    }
)


@dataclass(frozen=True)
class JudgedQueries:
    """Queries with grades from 0 to 3, and all documents that they were pooled from."""

    documents: pl.DataFrame  # passage_id, text
    queries: pl.DataFrame  # query_id, kind, query, written_for
    judgements: pl.DataFrame  # query_id, passage_id, grade
    quarantine: pl.DataFrame  # QUARANTINE_SCHEMA


def adaptation_queries() -> Checked:
    """Pairs of passage and query to adapt a language model on (ADAPTATION_SCHEMA).

    No corpus has these passages: ``python_docs.harvest`` leaves them out.
    """
    pairs = read_written("adaptation")
    texts = _texts(pairs["passage"])
    pairs, aside = _not_here(pairs, texts, where="adaptation.jsonl")
    rows = pairs.join(texts, left_on="passage", right_on="passage_id", maintain_order="left")
    _log(aside)
    return Checked(
        rows.select(
            passage_id="passage", title="passage", text="text", kind="kind",
            task=pl.col("kind").replace_strict(INVENTORY), query="query",
        ),
        quarantine_table(aside),
        {"pairs": rows.height} | count_reasons(aside),
    )  # fmt: skip


def judged_queries() -> JudgedQueries:
    """The queries to evaluate on; one whose answers this Python lacks is set aside too."""
    listed, queries = read_written("documents"), read_written("queries")
    texts = _texts(listed["passage"])
    listed, no_document = _not_here(listed, texts, where="documents.jsonl")
    judged, no_judgement = _not_here(read_written("judgements"), texts, where="judgements.jsonl")
    answered = set(judged.filter(pl.col("grade") >= RELEVANT)["query_id"])
    unanswered = partial(
        set_aside, id_column="query_id", reason="no_relevant_passage",
        details=dict.fromkeys(set(queries["query_id"]) - answered, "this Python has no answer"),
    )  # fmt: skip
    queries, no_answer = unanswered(queries, where="queries.jsonl")
    judged, no_query = unanswered(judged, where="judgements.jsonl")
    aside = [*no_document, *no_judgement, *no_answer, *no_query]
    _log(aside)
    return JudgedQueries(
        texts.filter(pl.col("passage_id").is_in(listed["passage"].implode())),
        queries,
        judged.rename({"passage": "passage_id"}),
        quarantine_table(aside),
    )


def _texts(names: pl.Series) -> pl.DataFrame:
    """``passage_id, text`` of all docstrings in the modules of ``names``, as this Python has them.

    A summary line, which the reader of corpora splits off, is part of the text again.
    """
    modules = {name.partition(".")[0] for name in names}
    sources = [one for one in stdlib_sources() if one.module.partition(".")[0] in modules]
    return harvest_sources(sources, workers=1).rows.select(
        passage_id="doc_id",
        text=pl.concat_str("summary", "text", separator="\n\n", ignore_nulls=True),
    )


def _not_here(
    table: pl.DataFrame, texts: pl.DataFrame, *, where: str
) -> tuple[pl.DataFrame, list[QuarantineRow]]:
    detail = f"no such docstring in Python {platform.python_version()}"
    missing = dict.fromkeys(set(table["passage"]) - set(texts["passage_id"]), detail)
    return set_aside(
        table, missing, id_column="passage", where=where, reason="not_in_this_python"
    )  # fmt: skip


def _log(aside: Sequence[QuarantineRow]) -> None:
    if aside:
        logger.info("Written queries about the standard library: %s", count_reasons(aside))
