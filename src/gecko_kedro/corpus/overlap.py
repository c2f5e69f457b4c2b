"""Training texts that are, contain or nearly repeat a text of the evaluation."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from gecko_kedro.base.text import normalise
from gecko_kedro.corpus.duplicates import NearTexts, sketch_all
from gecko_kedro.corpus.quarantine import record_json
from gecko_kedro.corpus.schemas import OVERLAP_SCHEMA
from gecko_kedro.corpus.settings import OverlapSettings
from gecko_kedro.corpus.texts import WORD

REASONS = ("equal_text", "shared_ngram", "near_duplicate", "similar_embedding")
# Texts -> (n, d) L2-normalised vectors; this room knows no encoder.
Embed = Callable[[Sequence[str]], npt.NDArray[np.float32]]
_ROWS = 4_096  # vectors whose similarities are held at a time
_BOILERPLATE = 10  # an n-gram in more training texts than these tells nothing (GPT-3, appendix C)


class Overlap(NamedTuple):
    """Why a training text goes: one of REASONS, how similar it is, and to what (normalised)."""

    reason: str
    similarity: float
    evaluation_text: str


_Test = Callable[[Mapping[int, str]], dict[int, Overlap]]  # of texts by their row


def find_overlaps(
    texts: Sequence[str],
    evaluation_texts: Iterable[str],
    settings: OverlapSettings = OverlapSettings(),
    *,
    embed: Embed | None = None,
) -> dict[int, Overlap]:
    """The rows of ``texts`` that overlap with an evaluation text, with the first reason found.

    Tested in this order: the same text (``base.text``); ``ngram_words`` successive words in
    common (GPT-3's rule has 13; shorter texts have none), unless more than ten distinct ``texts``
    have them, which makes them boilerplate; Jaccard similarity of 3-word shingles by MinHash,
    computed exactly for what the sketches propose, which miss about one pair in a hundred at the
    threshold; cosine similarity of the vectors that ``embed`` gives.
    """
    known = sorted(set(filter(None, map(normalise, evaluation_texts))))
    rows_of: dict[str, list[int]] = {}
    for row, text in enumerate(map(normalise, texts)):
        rows_of.setdefault(text, []).append(row)
    rows_of.pop("", None)
    if not known or not rows_of:
        return {}
    tests: list[_Test] = [partial(_equal, known=set(known))]
    if settings.ngram_words is not None:
        tests.append(partial(_shared_ngrams, known=known, size=settings.ngram_words))
    if settings.near_duplicate_threshold is not None:
        tests.append(partial(_near, known=known, settings=settings))
    if (threshold := settings.embedding_threshold) is not None and embed is not None:
        tests.append(partial(_similar, known=known, threshold=threshold, embed=embed))
    found: dict[int, Overlap] = {}
    rest = {rows[0]: text for text, rows in rows_of.items()}  # each text is tested once
    for test in tests:  # the cheapest first
        hits = test(rest)
        found |= {row: hit for first, hit in hits.items() for row in rows_of[rest[first]]}
        rest = {row: text for row, text in rest.items() if row not in hits}
    return found


def remove_overlaps(
    table: pl.DataFrame,
    evaluation: pl.DataFrame,
    settings: OverlapSettings,
    *,
    where: str,
    columns: Sequence[str],
    embed: Embed | None = None,
    removed: bool = True,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows of a training table that do not overlap with the evaluation, and those that do.

    ``evaluation`` has EVALUATION_TEXT_SCHEMA. ``columns`` hold texts or lists of texts, nulls as
    none, and the first column of ``table`` is its id. Each row is listed once (OVERLAP_SCHEMA),
    with the first of the ``columns`` that overlaps; ``removed`` is what the list says of them.
    """
    texts = pl.concat([_texts(table, column) for column in columns])
    hits = find_overlaps(texts["text"].to_list(), evaluation["text"], settings, embed=embed)
    first: dict[int, tuple[str, Overlap]] = {}
    for place in sorted(hits):
        first.setdefault(texts["row"][place], (texts["column"][place], hits[place]))
    sources = {
        normalise(text): (task, text_id)
        for task, text_id, text in evaluation.reverse().select("task", "text_id", "text").rows()
    }  # reversed: of equal texts the first is named
    listed = [
        (where, str(table[row, 0]), column, hit.reason, hit.similarity,
         *sources[hit.evaluation_text], hit.evaluation_text, removed,
         record_json(table.row(row, named=True)))
        for row, (column, hit) in sorted(first.items())
    ]  # fmt: skip
    kept = table.filter(~pl.int_range(pl.len()).is_in(list(first)))
    return kept, pl.DataFrame(listed, schema=OVERLAP_SCHEMA, orient="row")


def _texts(table: pl.DataFrame, column: str) -> pl.DataFrame:
    """``row, column, text`` of one column; of a list each text is a row."""
    found = table.select(
        pl.int_range(pl.len()).alias("row"), pl.lit(column).alias("column"), text=pl.col(column)
    )
    if found.schema["text"].base_type() == pl.List:
        found = found.explode("text")
    return found.with_columns(pl.col("text").cast(pl.String).fill_null(""))


def _equal(left: Mapping[int, str], known: Collection[str]) -> dict[int, Overlap]:
    return {row: Overlap("equal_text", 1.0, text) for row, text in left.items() if text in known}


def _ngrams(text: str, size: int) -> set[str]:
    words = WORD.findall(text)
    return {" ".join(words[start : start + size]) for start in range(len(words) - size + 1)}


def _shared_ngrams(left: Mapping[int, str], known: Sequence[str], size: int) -> dict[int, Overlap]:
    grams = {gram: text for text in reversed(known) for gram in _ngrams(text, size)}
    shared = {row: _ngrams(text, size) & grams.keys() for row, text in left.items()}
    texts_with = Counter(gram for own in shared.values() for gram in own)
    found = {}
    for row, own in shared.items():
        if telling := sorted(gram for gram in own if texts_with[gram] <= _BOILERPLATE):
            share = len(telling) / len(_ngrams(left[row], size))
            found[row] = Overlap("shared_ngram", share, grams[telling[0]])
    return found


def _near(
    left: Mapping[int, str], known: Sequence[str], settings: OverlapSettings
) -> dict[int, Overlap]:
    texts = NearTexts(settings.near_duplicate_threshold or 1.0)
    for number, sketch in enumerate(sketch_all(known, settings.seed)):
        texts.add(number, known[number], sketch)
    sketches = sketch_all(list(left.values()), settings.seed)
    found = {}
    for (row, text), sketch in zip(left.items(), sketches, strict=True):
        best, other = max(texts.near(text, sketch), default=(0.0, -1))
        if other >= 0:
            found[row] = Overlap("near_duplicate", best, known[other])
    return found


def _similar(
    left: Mapping[int, str], known: Sequence[str], threshold: float, embed: Embed
) -> dict[int, Overlap]:
    if not left:
        return {}
    rows, evaluation, vectors = list(left), embed(known), embed(list(left.values()))
    found = {}
    for start in range(0, len(rows), _ROWS):
        similarity = vectors[start : start + _ROWS] @ evaluation.T  # (r, d) @ (d, e) -> (r, e)
        best, nearest = similarity.max(axis=1), similarity.argmax(axis=1)
        for place in np.flatnonzero(best >= threshold).tolist():
            text = known[int(nearest[place])]
            found[rows[start + place]] = Overlap("similar_embedding", float(best[place]), text)
    return found
