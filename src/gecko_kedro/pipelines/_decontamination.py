"""What training must not see: rows against everything that evaluate and guard will score."""

import logging
from collections.abc import Sequence
from typing import Any

import polars as pl

from gecko_kedro import corpus, evaluation
from gecko_kedro.base.errors import InputError
from gecko_kedro.corpus.schemas import OVERLAP_SCHEMA
from gecko_kedro.corpus.settings import DecontaminateSettings
from gecko_kedro.encoder.settings import LoadSettings

logger = logging.getLogger(__name__)
# Inputs of the nodes that decontaminate pairs or examples, behind the rows.
EVALUATED = [
    "heldout_pairs",
    "evaluation_data",
    "unseen_tasks",
    "params:encoder.load",
    "params:decontaminate",
]


def heldout_texts(
    table: pl.DataFrame, *, queries: Sequence[str] = (), passages: Sequence[str] = ()
) -> pl.DataFrame:
    """The texts in these columns of the held-out passages or pairs; the first column is the id."""
    return pl.concat(
        evaluation.texts_of(
            table, task="heldout", side=side, of=columns,
            ids=pl.format(side + " {}", table.columns[0]),
        )
        for side, columns in (("query", queries), ("passage", passages))
    )  # fmt: skip


def against_evaluation(
    rows: pl.DataFrame,
    heldout: pl.DataFrame,
    own_data: evaluation.CheckedData | None,
    unseen: evaluation.ReadTasks,
    *,
    load: LoadSettings,
    params: DecontaminateSettings,
    where: str,
    queries: Sequence[str] = (),
    passages: Sequence[str] = (),
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows to train on, and what overlaps with the evaluation (OVERLAP_SCHEMA).

    ``queries`` and ``passages`` are the columns to look at, ``heldout`` the texts of the held-out
    task. ``decontaminate.remove``: true takes out whatever overlaps, "queries" only rows with a
    query of the evaluation, false none. Where nothing would be left to train on, InputError says
    so.
    """
    tasks = unseen.with_own(own_data).tasks
    # Texts of one corpus share its turns of phrase: common words are no leak among them.
    same_corpus = params.overlap.model_copy(update={"ngram_words": None})
    embed = None if params.overlap.embedding_threshold is None else load.embed
    sets = [(evaluation.evaluation_texts(tasks), params.overlap), (heldout, same_corpus)]
    steps = [(*one, [*queries, *passages], params.remove is True) for one in sets]
    if params.remove == "queries" and queries:  # first what goes, then what is only listed
        asked = [(texts.filter(side="query"), settings) for texts, settings in sets]
        steps = [*((*one, [*queries], True) for one in asked), *steps]
    kept = rest = rows
    listed = [pl.DataFrame(schema=OVERLAP_SCHEMA)]
    for texts, settings, columns, removes in steps:
        rest, found = corpus.remove_overlaps(
            rest, texts, settings, where=where, columns=columns, embed=embed, removed=removes
        )
        kept = rest if removes else kept
        listed.append(found)
    overlaps = pl.concat(listed)
    logger.info(
        "%s: %d of %d rows overlap with the evaluation; decontaminate.remove: %s, %d taken out",
        where, overlaps.height, rows.height, params.remove, overlaps["removed"].sum(),
    )  # fmt: skip
    if kept.is_empty() and not rows.is_empty():
        raise InputError(
            f"decontaminate, {where}", expected="rows that are no part of the evaluation",
            got=f"{rows.height} rows, all of which overlap with texts of "
            + ", ".join(overlaps["task"].unique().sort()),
            fix="Train on other texts; where the evaluation's passages are the corpus to be "
            "searched, set decontaminate.remove to queries.",
        )  # fmt: skip
    return kept, overlaps


def decontaminate_examples(
    examples: pl.DataFrame,
    heldout_pairs: pl.DataFrame,
    own_data: evaluation.CheckedData | None,
    unseen: evaluation.ReadTasks,
    *,
    load: LoadSettings,
    params: DecontaminateSettings,
    where: str,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The same for rows of the unified format: query, positive and negatives are looked at."""
    row_id = pl.format("{}, row {}", "dataset", pl.int_range(pl.len()))
    negatives = pl.col("negatives").list.eval(pl.element().struct.field("text"))
    kept, overlaps = against_evaluation(
        examples.select(row_id.alias("row"), pl.all(), negatives.alias("negative")),
        heldout_texts(heldout_pairs, queries=["query"], passages=["text"]),
        own_data,
        unseen,
        load=load,
        params=params,
        where=where,
        queries=["query"],
        passages=["positive", "negative"],
    )
    return kept.drop("row", "negative"), overlaps


def overlap_counts(overlaps: pl.DataFrame) -> dict[str, Any]:
    """How many rows overlap, and of these are removed; all as ``<where>.<column>_<reason>``."""
    reason = pl.format("{}.{}_{}", "where", "column", "reason")
    counts = overlaps.select(reason.alias("reason"))["reason"].value_counts().sort("reason")
    total = {"overlapping": overlaps.height, "removed": int(overlaps["removed"].sum())}
    return total | dict(counts.iter_rows())
