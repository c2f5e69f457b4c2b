"""Exact and near-duplicate texts: which rows go, and for which row each goes.

Rows are taken in ascending order of their ids, so that the result does not depend on the order of
the table: of equal texts the one with the lowest id stays, and a near-duplicate goes only for a
row that stays itself.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from gecko_kedro.base.text import normalise
from gecko_kedro.corpus.words import WORD

_PERMUTATIONS = 120  # has many divisors, hence many choices for the number of bands
_RECALL = 0.99  # share of the pairs at the threshold that the bands must find
ESTIMATE_ERROR = 0.15  # over three standard errors of a Jaccard estimate from 120 permutations
_SHINGLE_WORDS = 3
_BATCH = 2_000  # texts whose shingles are held in memory together


def exact_duplicates(texts: Mapping[str, str]) -> dict[str, str]:
    """Ids whose normalised text another has too, with the id that stays: ``{gone: kept}``.

    ``texts`` maps id to text; ``base.text`` says what is the same.
    """
    kept: dict[str, str] = {}
    gone: dict[str, str] = {}
    for row_id in sorted(texts):
        first = kept.setdefault(normalise(texts[row_id]), row_id)
        if first != row_id:
            gone[row_id] = first
    return gone


def near_duplicates(
    texts: Mapping[str, str], *, threshold: float, seed: int
) -> dict[str, tuple[str, float]]:
    """Ids whose text nearly repeats another's: ``{gone: (kept, similarity)}``.

    Similarity is the Jaccard similarity of the sets of 3-word shingles, at least ``threshold``.
    MinHash with locality-sensitive hashing (rensa) proposes candidates and misses about one in a
    hundred pairs at the threshold; the similarity of a candidate is then computed exactly, so
    that no text goes by an error of the sketch. ``seed`` chooses the permutations.
    """
    ids = sorted(texts)
    index = minhash_index(threshold)
    sketches: dict[int, Any] = {}
    gone: dict[str, tuple[str, float]] = {}
    for row, sketch in enumerate(sketch_all([texts[row_id] for row_id in ids], seed)):
        near = [
            other
            for other in sorted(index.query(sketch))
            if sketch.jaccard(sketches[other]) >= threshold - ESTIMATE_ERROR
        ]
        match = _first_similar(ids, texts, row, near, threshold)
        if match is not None:
            gone[ids[row]] = match
        else:
            index.insert(row, sketch)
            sketches[row] = sketch
    return gone


def shingles(text: str) -> set[str]:
    """The 3-word sequences of the normalised text; the text itself where it has fewer words."""
    words = WORD.findall(normalise(text))
    if len(words) < _SHINGLE_WORDS:
        return {" ".join(words)}
    return set(map(" ".join, zip(words, words[1:], words[2:], strict=False)))


def _first_similar(
    ids: list[str], texts: Mapping[str, str], row: int, near: list[int], threshold: float
) -> tuple[str, float] | None:
    if not near:
        return None
    own = shingles(texts[ids[row]])
    for other in near:
        theirs = shingles(texts[ids[other]])
        similarity = len(own & theirs) / len(own | theirs)
        if similarity >= threshold:
            return ids[other], similarity
    return None


def minhash_index(threshold: float) -> Any:
    """An empty LSH index that finds nearly all pairs of sketches at ``threshold``."""
    import rensa

    return rensa.RMinHashLSH(threshold, _PERMUTATIONS, _bands(threshold))


def sketch_all(texts: list[str], seed: int) -> Iterator[Any]:
    """A MinHash sketch of the shingles of each text, in their order."""
    import rensa

    for first in range(0, len(texts), _BATCH):
        batch = texts[first : first + _BATCH]
        yield from rensa.RMinHash.from_token_sets(map(shingles, batch), _PERMUTATIONS, seed)


def _bands(threshold: float) -> int:
    """The fewest bands that find a pair at ``threshold`` with probability ``_RECALL``."""
    for bands in (n for n in range(1, _PERMUTATIONS) if _PERMUTATIONS % n == 0):
        if 1 - (1 - threshold ** (_PERMUTATIONS // bands)) ** bands >= _RECALL:
            return bands
    return _PERMUTATIONS
