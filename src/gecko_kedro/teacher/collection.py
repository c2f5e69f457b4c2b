"""Statistics of a whole corpus that the lexical stand-in is fitted on."""

import hashlib
import math
import zlib
from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from gecko_kedro.teacher.words import terms

_PAIR_CELLS = 1 << 22  # 16 MB; a million different pairs: one in five shares its cell


@dataclass(frozen=True)
class Collection:
    """Term counts of a corpus: ``counts`` over all texts, ``document_counts`` texts with the term.

    ``pair_cells`` counts the texts that have two terms side by side, by hash: a count can be too
    high, never too low. The same texts in any order give the same collection and fingerprint.
    """

    counts: dict[str, int]
    document_counts: dict[str, int]
    pair_cells: "array[int]"
    documents: int

    @classmethod
    def fit(cls, texts: Iterable[str]) -> "Collection":
        """Count the stems of every text."""
        counts: Counter[str] = Counter()
        document_counts: Counter[str] = Counter()
        pair_cells = array("I", bytes(array("I").itemsize * _PAIR_CELLS))
        documents = 0
        for text in texts:
            in_order = terms(text)
            found = Counter(in_order)
            counts.update(found)
            document_counts.update(found.keys())
            for first, second in set(pairwise(in_order)):
                pair_cells[_cell(first, second)] += 1
            documents += 1
        return cls(dict(counts), dict(document_counts), pair_cells, documents)

    @cached_property
    def total(self) -> int:
        """Number of words in the corpus."""
        return sum(self.counts.values())

    @cached_property
    def fingerprint(self) -> str:
        """A short hash of everything that a reply can depend on."""
        digest = hashlib.sha256(str(self.documents).encode())
        for term in sorted(self.counts):
            digest.update(f"\0{term}\0{self.counts[term]}\0{self.document_counts[term]}".encode())
        digest.update(self.pair_cells.tobytes())
        return digest.hexdigest()[:12]

    def probability(self, term: str) -> float:
        """P(term) in the corpus; half a count for every term, so that none is impossible."""
        return (self.counts.get(term, 0) + 0.5) / (self.total + 0.5 * (len(self.counts) + 1))

    def idf(self, term: str) -> float:
        """Inverse document frequency, in nats, always positive (the form that BM25 uses)."""
        frequency = self.document_counts.get(term, 0)
        return math.log1p((self.documents - frequency + 0.5) / (frequency + 0.5))

    def pair_count(self, first: str, second: str) -> int:
        """Number of texts that have ``first`` right before ``second``, or a little more."""
        return self.pair_cells[_cell(first, second)]


def _cell(first: str, second: str) -> int:
    return zlib.crc32(f"{first} {second}".encode()) % _PAIR_CELLS
