"""Training texts that are, contain or nearly repeat a text of the evaluation."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from gecko_kedro.corpus.duplicates import ESTIMATE_ERROR, minhash_index, shingles, sketch_all
from gecko_kedro.corpus.quarantine import QuarantineRow, count_reasons, quarantine_table, set_aside
from gecko_kedro.corpus.results import DecontaminationResult
from gecko_kedro.corpus.words import WORD, normalise

REASONS = ("equal_text", "shared_ngram", "near_duplicate", "similar_embedding")
# Texts -> (n, d) L2-normalised vectors; this room knows no encoder.
Embed = Callable[[Sequence[str]], npt.NDArray[np.float32]]
_ROWS = 4_096  # vectors whose similarities are held at a time
_LONGEST_SHOWN = 80
_BOILERPLATE = 10  # an n-gram in more training texts than these tells nothing (GPT-3, appendix C)


class OverlapSettings(BaseModel):
    """What counts as an overlap; None switches a test off."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ngram_words: int | None = Field(ge=4)
    near_duplicate_threshold: float | None = Field(gt=0, le=1)  # Jaccard similarity of 3-grams
    embedding_threshold: float | None = Field(gt=0, le=1)  # cosine similarity
    seed: int = Field(ge=0)


class Overlap(NamedTuple):
    """Why a training text goes: one of REASONS, how similar it is, and to what."""

    reason: str
    similarity: float
    evaluation_text: str


def find_overlaps(
    texts: Sequence[str],
    evaluation_texts: Iterable[str],
    settings: OverlapSettings,
    *,
    embed: Embed | None = None,
) -> dict[int, Overlap]:
    """The rows of ``texts`` that overlap with an evaluation text, with the first reason found.

    Tested in this order: equal but for case and white space; ``ngram_words`` successive words in
    common (GPT-3's rule has 13; shorter texts have none), unless more than ten of ``texts`` have
    them, which makes them boilerplate; Jaccard similarity of 3-word shingles by MinHash, computed
    exactly for what the sketches propose, which miss about one pair in a hundred at the threshold;
    cosine similarity of the vectors that ``embed`` gives.
    """
    known = sorted(set(filter(None, map(normalise, evaluation_texts))))
    found: dict[int, Overlap] = {}
    if not known:
        return found
    equal = set(known)
    rest = {row: normalise(text) for row, text in enumerate(texts)}
    tests: list[Callable[[Mapping[int, str]], dict[int, Overlap]]] = [
        lambda left: {row: Overlap("equal_text", 1.0, t) for row, t in left.items() if t in equal}
    ]
    if settings.ngram_words is not None:
        size = settings.ngram_words
        grams = {gram for text in known for gram in _ngrams(text, size)}
        tests.append(lambda left: _shared_ngrams(left, grams, size))
    if settings.near_duplicate_threshold is not None:
        tests.append(lambda left: _near(left, known, settings))
    if settings.embedding_threshold is not None and embed is not None:
        tests.append(lambda left: _similar(left, known, settings, embed))
    for test in tests:
        hits = test(rest)
        found |= hits
        rest = {row: text for row, text in rest.items() if row not in hits}
    return found


def remove_overlaps(
    table: pl.DataFrame,
    evaluation_texts: Iterable[str],
    settings: OverlapSettings,
    *,
    columns: Sequence[str],
    embed: Embed | None = None,
) -> DecontaminationResult:
    """Take the rows out of a training table of which a text overlaps with the evaluation's.

    ``columns`` are looked at in turn, nulls as empty; the first column of ``table`` is its id. The
    quarantine lists each row with its reason (``<column>_<reason>``) and the evaluation text.
    """
    evaluation = list(evaluation_texts)
    aside: list[QuarantineRow] = []
    id_column = table.columns[0]
    for column in columns:
        hits = find_overlaps(table[column].fill_null("").to_list(), evaluation, settings,
                             embed=embed)  # fmt: skip
        ids = table[id_column].to_list()
        for reason in REASONS:
            details = {ids[row]: _told(hit) for row, hit in hits.items() if hit.reason == reason}
            table, rows = set_aside(
                table, details, id_column=id_column, where="decontamination",
                reason=f"{column}_{reason}",
            )  # fmt: skip
            aside += rows
    counts = {"rows": table.height} | count_reasons(aside)
    return DecontaminationResult(table, quarantine_table(aside), counts)


def _told(hit: Overlap) -> str:
    shown = hit.evaluation_text
    shown = shown if len(shown) <= _LONGEST_SHOWN else shown[:_LONGEST_SHOWN] + "..."
    return f"similarity {hit.similarity:.3f} to the evaluation's {shown!r}"


def _ngrams(text: str, size: int) -> set[str]:
    words = WORD.findall(text)
    return {" ".join(words[start : start + size]) for start in range(len(words) - size + 1)}


def _shared_ngrams(left: Mapping[int, str], grams: set[str], size: int) -> dict[int, Overlap]:
    shared = {row: _ngrams(text, size) & grams for row, text in left.items()}
    texts_with = Counter(gram for own in shared.values() for gram in own)
    found = {}
    for row, own in shared.items():
        if telling := sorted(gram for gram in own if texts_with[gram] <= _BOILERPLATE):
            share = len(telling) / len(_ngrams(left[row], size))
            found[row] = Overlap("shared_ngram", share, telling[0])
    return found


def _near(
    left: Mapping[int, str], known: Sequence[str], settings: OverlapSettings
) -> dict[int, Overlap]:
    threshold = settings.near_duplicate_threshold or 1.0
    index = minhash_index(threshold)
    sketches: list[Any] = []
    for row, sketch in enumerate(sketch_all(list(known), settings.seed)):
        index.insert(row, sketch)
        sketches.append(sketch)
    found = {}
    for (row, text), sketch in zip(
        left.items(), sketch_all(list(left.values()), settings.seed), strict=True
    ):
        near = [
            other
            for other in sorted(index.query(sketch))
            if sketch.jaccard(sketches[other]) >= threshold - ESTIMATE_ERROR
        ]
        own = shingles(text)
        scored = [(_jaccard(own, shingles(known[other])), other) for other in near]
        best, other = max(scored, default=(0.0, -1))
        if text and best >= threshold:
            found[row] = Overlap("near_duplicate", best, known[other])
    return found


def _similar(
    left: Mapping[int, str], known: Sequence[str], settings: OverlapSettings, embed: Embed
) -> dict[int, Overlap]:
    rows = [row for row, text in left.items() if text]
    if not rows:
        return {}
    evaluation, threshold = embed(known), settings.embedding_threshold or 1.0
    vectors = embed([left[row] for row in rows])
    found = {}
    for start in range(0, len(rows), _ROWS):
        similarity = vectors[start : start + _ROWS] @ evaluation.T  # (r, d) @ (d, e) -> (r, e)
        nearest = similarity.argmax(axis=1)
        for place in np.flatnonzero(similarity.max(axis=1) >= threshold).tolist():
            best = float(similarity[place, nearest[place]])
            text = known[int(nearest[place])]
            found[rows[start + place]] = Overlap("similar_embedding", best, text)
    return found


def _jaccard(a: set[str], b: set[str]) -> float:
    return len(a & b) / len(a | b)
