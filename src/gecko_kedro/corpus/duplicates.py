"""Exact and near-duplicate texts: which rows go, and for which row each goes.

Rows are taken in ascending order of their ids, so that the result does not depend on the order of
the table: of equal texts the one with the lowest id stays, and a near-duplicate goes only for a
row that stays itself.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from gecko_kedro.base.text import normalise
from gecko_kedro.corpus.texts import WORD

_PERMUTATIONS = 120  # has many divisors, hence many choices for the number of bands
_RECALL = 0.99  # share of the pairs at the threshold that the bands must find
_ESTIMATE_ERROR = 0.15  # over three standard errors of a Jaccard estimate from 120 permutations
_SHINGLE_WORDS = 3
_BATCH = 2_000  # texts whose shingles are held in memory together


def exact_duplicates(texts: Mapping[str, str]) -> dict[str, str]:
    """``repeated`` of ``texts`` (id to text) in ascending order of their ids."""
    return repeated(sorted(texts.items()))


def repeated(rows: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Ids of (id, text) that have the text (by ``base.text``) of an earlier row: {gone: kept}."""
    kept: dict[str, str] = {}
    return {
        row_id: first
        for row_id, text in rows
        if (first := kept.setdefault(normalise(text), row_id)) != row_id
    }


class NearTexts:
    """Texts by number, of which those near to a text are found.

    Similarity is the Jaccard similarity of the sets of 3-word shingles, at least ``threshold``.
    MinHash with locality-sensitive hashing (rensa) proposes candidates and misses about one in a
    hundred pairs at the threshold; the similarity of a candidate is then computed exactly, so
    that no text goes by an error of the sketch.
    """

    def __init__(self, threshold: float) -> None:
        import rensa

        self._threshold = threshold
        self._index = rensa.RMinHashLSH(threshold, _PERMUTATIONS, _bands(threshold))
        self._known: dict[int, tuple[str, Any]] = {}

    def add(self, number: int, text: str, sketch: Any) -> None:
        """Keep a text with its sketch (``sketch_all``)."""
        self._index.insert(number, sketch)
        self._known[number] = (text, sketch)

    def near(self, text: str, sketch: Any) -> Iterator[tuple[float, int]]:
        """Similarity and number of each kept text that is near, by number."""
        own: set[str] = set()
        for number in sorted(self._index.query(sketch)):
            other, its_sketch = self._known[number]
            if sketch.jaccard(its_sketch) < self._threshold - _ESTIMATE_ERROR:
                continue
            own, theirs = own or shingles(text), shingles(other)
            similarity = len(own & theirs) / len(own | theirs)
            if similarity >= self._threshold:
                yield similarity, number


def near_duplicates(
    texts: Mapping[str, str], *, threshold: float, seed: int
) -> dict[str, tuple[str, float]]:
    """Ids whose text nearly repeats another's (``NearTexts``): ``{gone: (kept, similarity)}``.

    ``seed`` chooses the permutations.
    """
    ids = sorted(texts)
    kept = NearTexts(threshold)
    gone: dict[str, tuple[str, float]] = {}
    for row, sketch in enumerate(sketch_all([texts[row_id] for row_id in ids], seed)):
        text = texts[ids[row]]
        similarity, other = next(kept.near(text, sketch), (0.0, -1))
        if other >= 0:
            gone[ids[row]] = (ids[other], similarity)
        else:
            kept.add(row, text, sketch)
    return gone


def shingles(text: str) -> set[str]:
    """The 3-word sequences of the normalised text; the text itself where it has fewer words."""
    words = WORD.findall(normalise(text))
    if len(words) < _SHINGLE_WORDS:
        return {" ".join(words)}
    return set(map(" ".join, zip(words, words[1:], words[2:], strict=False)))


def sketch_all(texts: Sequence[str], seed: int) -> Iterator[Any]:
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
