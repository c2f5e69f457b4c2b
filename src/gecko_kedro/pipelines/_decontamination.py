"""What training must not see: rows against everything that evaluate will score."""

import logging
from collections.abc import Sequence
from typing import Any

import polars as pl

from gecko_kedro import corpus, evaluation
from gecko_kedro.corpus.schemas import OVERLAP_SCHEMA
from gecko_kedro.errors import InputError
from gecko_kedro.params import DecontaminateParams, EncoderParams

logger = logging.getLogger(__name__)


def heldout_texts(table: pl.DataFrame, *, columns: Sequence[str]) -> pl.DataFrame:
    """The texts of held-out passages or pairs; the first column of ``table`` is their id."""
    return evaluation.texts_of(table, task="heldout", ids=pl.col(table.columns[0]), of=columns)


def against_evaluation(
    rows: pl.DataFrame,
    heldout: pl.DataFrame,
    own_data: evaluation.CheckedData | None,
    declared: evaluation.ReadTasks,
    *,
    encoder_params: EncoderParams,
    params: DecontaminateParams,
    where: str,
    columns: Sequence[str],
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows to train on, and what overlaps with the evaluation (OVERLAP_SCHEMA).

    ``heldout`` are the texts of the held-out task. With ``decontaminate.remove`` false the rows
    stay as they are. Where nothing would be left to train on, InputError says so.
    """
    tasks = [*([] if own_data is None else [own_data.data]), *declared.all()]
    # Texts of one corpus share its turns of phrase: common words are no leak among them.
    same_corpus = params.overlap.model_copy(update={"ngram_words": None})
    embed = None if params.overlap.embedding_threshold is None else encoder_params.embed
    kept, listed = rows, [pl.DataFrame(schema=OVERLAP_SCHEMA)]
    for texts, settings in (
        (evaluation.evaluation_texts(tasks), params.overlap),
        (heldout, same_corpus),
    ):
        clean = corpus.remove_overlaps(
            kept, texts, settings, where=where, columns=columns, embed=embed
        )
        kept = clean.rows
        listed.append(clean.overlaps)
    overlaps = pl.concat(listed)
    logger.info(
        "%s: %d of %d rows overlap with the evaluation, %s", where, overlaps.height, rows.height,
        "taken out" if params.remove else "kept, as decontaminate.remove says",
    )  # fmt: skip
    if not params.remove:
        return rows, overlaps
    if kept.is_empty() and not rows.is_empty():
        raise InputError(
            f"decontaminate, {where}", expected="rows that are no part of the evaluation",
            got=f"{rows.height} rows, all of which overlap with texts of "
            + ", ".join(overlaps["task"].unique().sort()),
            fix="Train on other texts; where the evaluation's passages are the corpus to be "
            "searched, set decontaminate.remove to false.",
        )  # fmt: skip
    return kept, overlaps


def decontaminate_examples(
    examples: pl.DataFrame,
    heldout_pairs: pl.DataFrame,
    own_data: evaluation.CheckedData | None,
    declared: evaluation.ReadTasks,
    *,
    encoder_params: EncoderParams,
    params: DecontaminateParams,
    where: str,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The same for rows of the unified format: query, positive and negatives are looked at."""
    row_id = pl.format("{}, row {}", "dataset", pl.int_range(pl.len()))
    negatives = pl.col("negatives").list.eval(pl.element().struct.field("text"))
    kept, overlaps = against_evaluation(
        examples.select(row_id.alias("row"), pl.all(), negatives.alias("negative")),
        heldout_texts(heldout_pairs, columns=["query", "text"]),
        own_data,
        declared,
        encoder_params=encoder_params,
        params=params,
        where=where,
        columns=["query", "positive", "negative"],
    )
    return kept.drop("row", "negative"), overlaps


def overlap_counts(overlaps: pl.DataFrame) -> dict[str, Any]:
    """How many rows overlap, in all and as ``<where>.<column>_<reason>``."""
    reason = pl.format("{}.{}_{}", "where", "column", "reason")
    counts = overlaps.select(reason.alias("reason"))["reason"].value_counts().sort("reason")
    return {"overlapping": overlaps.height, **dict(counts.iter_rows())}
