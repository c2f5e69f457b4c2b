"""Documents to passages: cut, too short ones and duplicates set aside with the reason."""

import logging

import polars as pl

from gecko_kedro.base.errors import InputError
from gecko_kedro.corpus.chunking import chunk
from gecko_kedro.corpus.duplicates import exact_duplicates, near_duplicates
from gecko_kedro.corpus.quarantine import Checked, count_reasons, quarantine_table, set_aside
from gecko_kedro.corpus.schemas import PASSAGE_SCHEMA
from gecko_kedro.corpus.settings import PassageSettings
from gecko_kedro.corpus.texts import WORD_PATTERN

logger = logging.getLogger(__name__)


def make_passages(
    documents: pl.DataFrame, settings: PassageSettings = PassageSettings()
) -> Checked:
    """Cut ``documents`` into passages of ``min_words`` to ``max_words`` words, each text once.

    A passage's text is ``document.text[start:end]``, letter by letter. Its id is the document's
    where the document is one passage, else ``"{doc_id}#{start}-{end}"``. See texts.py for what a
    word is (a Chinese text is not too short) and chunking.py for the borders. Set aside, in this
    order: ``too_short``; ``exact_duplicate`` (the same text by ``base.text``); ``near_duplicate``
    (Jaccard similarity of 3-word shingles of at least the threshold; ``None`` turns it off). Of
    duplicates the row with the lowest passage id stays, whatever the order of ``documents``; the
    quarantine's detail names it.

    Raises InputError when no passage is left.
    """
    min_words = settings.min_words
    passages = _cut(documents, settings)
    cut, aside = passages.height, []

    def take_out(reason: str, details: dict[str, str]) -> None:
        nonlocal passages
        passages, rows = set_aside(
            passages, details, id_column="passage_id", where="passages", reason=reason
        )
        aside.extend(rows)

    words = passages.select("passage_id", pl.col("text").str.count_matches(WORD_PATTERN))
    short = words.filter(pl.col("text") < min_words).iter_rows()
    take_out("too_short", {row_id: f"{n} words, fewer than {min_words}" for row_id, n in short})
    exact = exact_duplicates(_texts(passages))
    take_out("exact_duplicate", {gone: f"same text as {kept}" for gone, kept in exact.items()})
    if (threshold := settings.near_duplicate_threshold) is not None:
        near = near_duplicates(_texts(passages), threshold=threshold, seed=settings.seed).items()
        details = {gone: f"{share:.2f} similar to {kept}" for gone, (kept, share) in near}
        take_out("near_duplicate", details)
    counts = {"documents": documents.height, "cut": cut, "passages": passages.height}
    counts |= count_reasons(aside)
    if passages.is_empty():
        raise InputError(
            "passages",
            expected=f"at least one text of {min_words} words or more",
            got=counts,
            fix="Look at the documents, or lower min_words.",
        )
    logger.info("Cut %d documents into %d passages: %s", documents.height, passages.height, counts)
    return Checked(passages, quarantine_table(aside), counts)


def _cut(documents: pl.DataFrame, settings: PassageSettings) -> pl.DataFrame:
    limits = settings.model_dump(include={"min_words", "max_words", "overlap_words"})
    rows = []
    for row in documents.iter_rows(named=True):
        doc_id, text = row["doc_id"], row["text"]
        # A text without words is still a row that is too short.
        spans = chunk(text, **limits) or [(0, len(text))]
        for start, end in spans:
            passage_id = doc_id if len(spans) == 1 else f"{doc_id}#{start}-{end}"
            of_document = (doc_id, row["title"], row["summary"])
            rows.append((passage_id, *of_document, text[start:end], row["group"], start, end))
    return pl.DataFrame(rows, schema=PASSAGE_SCHEMA, orient="row")


def _texts(passages: pl.DataFrame) -> dict[str, str]:
    return dict(passages.select("passage_id", "text").iter_rows())
