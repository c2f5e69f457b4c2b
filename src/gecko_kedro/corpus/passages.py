"""Documents to passages: cut, too short ones and duplicates set aside with the reason."""

import logging

import polars as pl

from gecko_kedro.base.errors import InputError
from gecko_kedro.corpus.chunking import chunk
from gecko_kedro.corpus.duplicates import exact_duplicates, near_duplicates
from gecko_kedro.corpus.quarantine import count_reasons, quarantine_table, set_aside
from gecko_kedro.corpus.results import PassageResult
from gecko_kedro.corpus.schemas import PASSAGE_SCHEMA
from gecko_kedro.corpus.words import WORD_PATTERN

logger = logging.getLogger(__name__)


def make_passages(
    documents: pl.DataFrame,
    *,
    min_words: int,
    max_words: int,
    overlap_words: int,
    near_duplicate_threshold: float | None,
    seed: int,
) -> PassageResult:
    """Cut ``documents`` into passages of ``min_words`` to ``max_words`` words, each text once.

    A passage's text is ``document.text[start:end]``, letter by letter. Its id is the document's
    where the document is one passage, else ``"{doc_id}#{start}-{end}"``. See words.py for what a
    word is (a Chinese text is not too short) and chunking.py for the borders. Set aside, in this
    order: ``too_short``; ``exact_duplicate`` (the same text by ``base.text``); ``near_duplicate``
    (Jaccard similarity of 3-word shingles of at least the threshold; ``None`` turns it off). Of
    duplicates the row with the lowest passage id stays, whatever the order of ``documents``; the
    quarantine's detail names it.

    Raises InputError for limits that contradict each other and when no passage is left.
    """
    _check_limits(min_words, max_words, overlap_words, near_duplicate_threshold)
    passages = _cut(documents, min_words, max_words, overlap_words)
    cut = passages.height

    words = pl.col("text").str.count_matches(WORD_PATTERN)
    short = passages.filter(words < min_words).select("passage_id", words.alias("words"))
    passages, aside = set_aside(
        passages,
        {row_id: f"{n} words, fewer than {min_words}" for row_id, n in short.iter_rows()},
        id_column="passage_id", where="passages", reason="too_short",
    )  # fmt: skip
    passages, exact = set_aside(
        passages,
        {gone: f"same text as {kept}" for gone, kept in exact_duplicates(_texts(passages)).items()},
        id_column="passage_id", where="passages", reason="exact_duplicate",
    )  # fmt: skip
    aside += exact
    if near_duplicate_threshold is not None:
        near = near_duplicates(_texts(passages), threshold=near_duplicate_threshold, seed=seed)
        passages, similar = set_aside(
            passages,
            {gone: f"{share:.2f} similar to {kept}" for gone, (kept, share) in near.items()},
            id_column="passage_id", where="passages", reason="near_duplicate",
        )  # fmt: skip
        aside += similar
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
    return PassageResult(passages, quarantine_table(aside), counts)


def _cut(
    documents: pl.DataFrame, min_words: int, max_words: int, overlap_words: int
) -> pl.DataFrame:
    rows = []
    for row in documents.iter_rows(named=True):
        doc_id, text = row["doc_id"], row["text"]
        spans = chunk(
            text, min_words=min_words, max_words=max_words, overlap_words=overlap_words
        ) or [(0, len(text))]  # a text without words is still a row that is too short
        for start, end in spans:
            passage_id = doc_id if len(spans) == 1 else f"{doc_id}#{start}-{end}"
            of_document = (doc_id, row["title"], row["summary"])
            rows.append((passage_id, *of_document, text[start:end], row["group"], start, end))
    return pl.DataFrame(rows, schema=PASSAGE_SCHEMA, orient="row")


def _texts(passages: pl.DataFrame) -> dict[str, str]:
    return dict(passages.select("passage_id", "text").iter_rows())


def _check_limits(
    min_words: int, max_words: int, overlap_words: int, threshold: float | None
) -> None:
    if not 1 <= min_words <= max_words // 2:
        raise InputError(
            "passages.min_words",
            expected=f"1 to half of max_words, {max_words // 2}",
            got=min_words,
            fix="Lower min_words or raise max_words.",
        )
    if not 0 <= overlap_words < max_words // 2:
        raise InputError(
            "passages.overlap_words",
            expected=f"0 to less than half of max_words, {max_words // 2}",
            got=overlap_words,
            fix="Lower overlap_words or raise max_words.",
        )
    if threshold is not None and not 0 < threshold <= 1:
        raise InputError(
            "passages.near_duplicate_threshold",
            expected="a similarity above 0 and at most 1, or null",
            got=threshold,
            fix="0.8 is usual; null turns the search off.",
        )
