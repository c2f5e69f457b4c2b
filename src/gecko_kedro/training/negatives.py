"""Hard negatives for training sets that have none, found by an encoder."""

import logging
from collections.abc import Collection

import polars as pl

from gecko_kedro.encoder.encoding import BatchSize, encode_texts
from gecko_kedro.encoder.formatting import Templates
from gecko_kedro.encoder.model import Encoder
from gecko_kedro.retrieval.exact import open_exact
from gecko_kedro.retrieval.mining import mine_negatives
from gecko_kedro.training.examples import EXAMPLE_SCHEMA, render_examples
from gecko_kedro.training.mixture import text_ids
from gecko_kedro.training.settings import MinedNegativesSettings

logger = logging.getLogger(__name__)


def add_mined_negatives(
    examples: pl.DataFrame,
    model: Encoder,
    *,
    datasets: Collection[str],
    batch_size: BatchSize,
    templates: Templates,
    settings: MinedNegativesSettings,
) -> pl.DataFrame:
    """``examples`` in their order; rows of ``datasets`` without a negative get the nearest ones.

    The ``candidates`` nearest positives of the same data set are searched, exactly; those of the
    query itself are left out, in whichever row they stand, and so is what scores above
    ``percent_of_positive`` times the score of the lowest of them (TopK-PercPos with 0.95, Moreira
    et al. 2024, arXiv 2407.15831). A row for which nothing is left stays without one.
    """
    numbered = examples.with_row_index("row")
    parts = [numbered.clear()]
    for part in numbered.partition_by("dataset", maintain_order=True):
        if part["dataset"][0] in datasets and part["negatives"].list.len().min() == 0:
            found = _mined(part, model, batch_size, templates, settings)
            mined = pl.Series(found, dtype=EXAMPLE_SCHEMA["negatives"])
            has_own = pl.col("negatives").list.len() > 0
            part = part.with_columns(  # noqa: PLW2901
                negatives=pl.when(has_own).then("negatives").otherwise(mined)
            )
        parts.append(part)
    return pl.concat(parts).sort("row").drop("row")


def _mined(
    part: pl.DataFrame,
    model: Encoder,
    batch_size: BatchSize,
    templates: Templates,
    settings: MinedNegativesSettings,
) -> list[list[dict[str, str | None]]]:
    """Title and text of what was found for each row of one data set."""
    ids, table = text_ids(part), render_examples(part, templates=templates, max_negatives=0)
    first_row = dict(zip(ids.positive.tolist(), range(part.height), strict=True))
    place = {text: i for i, text in enumerate(first_row)}
    rows = list(first_row.values())
    passages = encode_texts(model, table["positive"][rows].to_list(), batch_size=batch_size)
    queries = encode_texts(model, table["query"].to_list(), batch_size=batch_size)
    known = zip(ids.positive.tolist(), ids.known, strict=True)
    found = mine_negatives(
        open_exact(passages),
        queries,
        [[place[text] for text in (several or [own])] for own, several in known],
        exclude=[[place[text]] if text in place else [] for text in ids.query.tolist()],
        k=min(settings.candidates, len(rows)),
        n_negatives=settings.n_negatives,
        strategy="top",
        relative_margin=1 - settings.percent_of_positive,
        seed=settings.seed,
    )
    unfilled = int((found.ids < 0).all(axis=1).sum())
    name = part["dataset"][0]
    logger.info("add_mined_negatives: %s, %d rows, %d got none", name, part.height, unfilled)
    texts = part.select(title="positive_title", text="positive")[rows].to_dicts()
    return [[texts[i] for i in own if i >= 0] for own in found.ids.tolist()]
