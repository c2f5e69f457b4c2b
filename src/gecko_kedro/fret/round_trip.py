"""The round trip: a query that does not find its own passage teaches little (Promptagator)."""

import logging
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from gecko_kedro import encoder, retrieval
from gecko_kedro.base.settings import Limit, Settings
from gecko_kedro.corpus.quarantine import QuarantineRow, set_aside
from gecko_kedro.encoder.settings import LoadSettings

logger = logging.getLogger(__name__)
_WEAK = 0.5  # of the queries lost: the teacher writes for other passages than it reads


class RoundTripSettings(Settings):
    """How well a written query has to find the passage that it was written for."""

    rank: Limit = Field(20, description="among the best so many of all passages; null: off")


def round_trip(
    queries: pl.DataFrame,
    passages: pl.DataFrame,
    settings: RoundTripSettings = RoundTripSettings(),
    *,
    load: LoadSettings = LoadSettings(),
) -> tuple[pl.DataFrame, list[QuarantineRow]]:
    """``queries`` (QUERY) whose seed is found, and quarantine rows (round_trip) for the others.

    Found: the seed is among the best ``rank`` of ``passages`` by BM25 or by the encoder of
    ``load``, the initial embedder, with its own prompts (in Dai et al. 2022, arXiv 2209.11755, it
    is the retriever under training). The encoder reads the passages only if BM25 misses a seed. A
    query of a log has no seed and stays.
    """
    asked = queries.filter(pl.col("passage_id").is_not_null())
    if settings.rank is None or asked.is_empty():
        return queries, []
    rows = passages.select("passage_id").with_row_index("row")
    seeds = asked.join(rows, on="passage_id", how="left", maintain_order="left")["row"]
    missed = np.flatnonzero(~_found_by_words(asked, passages, seeds.to_numpy(), settings.rank))
    if missed.size:
        rest = asked[missed]
        near = _found_by_vectors(rest, passages, seeds.to_numpy()[missed], settings.rank, load)
        missed = missed[~near]
    lost = asked[missed]["query_id"]
    logger.info(
        "round_trip: %d of %d queries find their passage among the best %d",
        asked.height - len(lost), asked.height, settings.rank,
    )  # fmt: skip
    if len(lost) > _WEAK * asked.height:
        logger.warning(
            "round_trip: %.0f %% of the queries do not find the passage that they were written "
            "for; look at them in queries_quarantine before you pay for labels: this teacher may "
            "be too weak for this corpus", 100 * len(lost) / asked.height,
        )  # fmt: skip
    detail = f"its passage is not among the best {settings.rank}, by words or by vectors"
    return set_aside(
        queries, dict.fromkeys(lost, detail), id_column="query_id", where="round_trip",
        reason="round_trip",
    )  # fmt: skip


def _found_by_words(
    queries: pl.DataFrame, passages: pl.DataFrame, seeds: NDArray[Any], rank: int
) -> NDArray[np.bool_]:
    texts = passages.select(pl.concat_str(pl.col("title").fill_null(""), "text", separator=" "))
    found = retrieval.LexicalIndex(texts.to_series().to_list()).search(
        queries["query"].to_list(), rank
    )
    return np.asarray((found.ids == seeds[:, None]).any(axis=1))


def _found_by_vectors(
    queries: pl.DataFrame,
    passages: pl.DataFrame,
    seeds: NDArray[Any],
    rank: int,
    load: LoadSettings,
) -> NDArray[np.bool_]:
    model = load.load()
    own = encoder.own_templates(model.prompts)
    sides = (
        (encoder.render_query, queries.select("task_name", "query")),
        (encoder.render_passage, passages.select("title", "text")),
    )
    vectors = [
        encoder.encode_texts(
            model, [render(*row, templates=own) for row in side.iter_rows()],
            batch_size=load.batch_size, description="round_trip",
        )
        for render, side in sides
    ]  # fmt: skip
    found = retrieval.Index(vectors[1]).search(vectors[0], rank)
    return np.asarray((found.ids == seeds[:, None]).any(axis=1))
