"""Word statistics of a corpus, and by them the key phrases of a passage."""

import hashlib
import math
import re
import zlib
from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, pairwise, takewhile

from gecko_kedro.teacher.words import STOP_WORDS, stem, terms, words

_PAIR_CELLS = 1 << 22  # 16 MB; a million different pairs: one in five shares its cell
_BREAK = re.compile(r"[^\w\s'\u2019-]+")
_ENOUGH_DOCUMENTS = 100  # below, that a term occurs once says nothing
_LONGEST_WORD = 30  # longer "words" are hashes, paths, or text without spaces
# Words of documentation that say nothing about what is documented.
_BOILERPLATE_TEXT = """
parameter parameters argument arguments return returns returned returning raise raises raised
optional default defaults example examples note notes see str int float bool none true false
self kwargs args dict tuple deprecated added versionadded versionchanged changed following given
specified specify various certain way ways thing things something anything called calls call
sets new first second one two three different possible available able page article information
include includes including contain contains containing based provide provides provided also
"""
_BOILERPLATE = frozenset(_BOILERPLATE_TEXT.split())

# Nouns that say little alone, but end many a term ("loss function", "condition number").
_GENERIC_TEXT = """
type types object objects method methods function functions class classes attribute attributes
value values list string strings version set case cases number instance section code data name
names
"""
_GENERIC = frozenset(_GENERIC_TEXT.split())
# Verbs and adjectives that say little when they stand alone or at the border of a phrase.
_WEAK_TEXT = """
determine determines determined depend depends depending employ employs employed define defines
defined consider considered considering describe describes described allow allows allowed help
helps show shows shown represent represents represented perform performs performed refer refers
referred apply applies applied occur occurs appear appears become becomes build builds create
creates created compare compared comparing find finds found know known knows work works working
important specific key good better large larger small smaller high higher low lower needed
selected related relates special simple entire whole main general common particular typical
actual similar necessary useful great likely result results example amount kind kinds part parts
point points term terms thing order means later earlier next previous current fact people person
person's lot various appropriate desired require requires required ensure indicates indicate
indicated suggest suggests reduce reduces increase increases affect affects start end begin
begins left right full empty long short
"""
_WEAK = frozenset(_WEAK_TEXT.split())
_LINKS = frozenset(("of", "for", "in", "between", "from", "with", "on", "by", "to"))
_ARTICLES = frozenset(("a", "an", "the"))


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


@dataclass(frozen=True)
class Phrase:
    """A phrase as the passage spells it (lower case), its TF-IDF weight and where it first is."""

    text: str
    weight: float
    position: int


def key_phrases(
    sentences: list[str], title: str, collection: Collection, *, limit: int
) -> list[Phrase]:
    """The ``limit`` best phrases of one to three words, best first; no two share a word.

    The weight is the mean IDF of its words, times how often it occurs (log), with a bonus for
    length, for an early place and for words of the title, and less for what is hardly a term.
    """
    counts: Counter[tuple[str, ...]] = Counter()
    first: dict[tuple[str, ...], int] = {}
    for position, run in enumerate(run for s in sentences for run in _content_runs(s)):
        for n in (1, 2, 3):
            for start in range(len(run) - n + 1):
                phrase = tuple(run[start : start + n])
                if n > 1 and len({stem(word) for word in phrase}) < n:
                    continue
                counts[phrase] += 1
                first.setdefault(phrase, position)
    title_stems = {stem(word) for word in words(title)}
    scored = []
    for order, (phrase, count) in enumerate(counts.items()):
        weight = _weight(phrase, count, first[phrase], title_stems, collection)
        scored.append(Phrase(" ".join(phrase), weight, order))
    scored.sort(key=lambda phrase: (-phrase.weight, phrase.position))
    return _without_overlaps(scored, limit)


def linked_phrases(sentences: list[str], collection: Collection, *, limit: int) -> list[Phrase]:
    """The ``limit`` best runs like "convergence of the power method": two phrases and a link.

    The weight is the sum of the IDF of the content words, at most three on each side.
    """
    found: dict[str, Phrase] = {}
    for sentence in sentences:
        for part in _BREAK.split(sentence):
            plain = words(part)
            for at, word in enumerate(plain):
                if word not in _LINKS:
                    continue
                left = _run(plain[max(at - 3, 0) : at][::-1])[::-1]
                after = at + 1 + (plain[at + 1 : at + 2] != [] and plain[at + 1] in _ARTICLES)
                right = _run(plain[after : after + 3])
                if left and right and left[0] not in _WEAK and right[-1] not in _WEAK:
                    text = " ".join([*left, *plain[at:after], *right])
                    weight = sum(collection.idf(stem(word)) for word in {*left, *right})
                    found.setdefault(text, Phrase(text, weight, len(found)))
    return sorted(found.values(), key=lambda phrase: (-phrase.weight, phrase.position))[:limit]


def _run(plain: list[str]) -> list[str]:
    """The content words that it begins with."""
    return list(takewhile(_is_content, plain))


def _content_runs(sentence: str) -> list[list[str]]:
    """Runs of content words that no punctuation, stop-word or boilerplate interrupts."""
    parts = (groupby(words(part), _is_content) for part in _BREAK.split(sentence))
    return [list(run) for part in parts for is_content, run in part if is_content]


def _is_content(word: str) -> bool:
    if word in STOP_WORDS or word in _BOILERPLATE or len(word) > _LONGEST_WORD:
        return False
    return not word.isdigit() and (len(word) > 2 or not word.isascii())


def _weight(
    phrase: tuple[str, ...], count: int, position: int, title: set[str], collection: Collection
) -> float:
    stems = [stem(word) for word in phrase]
    idf = sum(collection.idf(term) for term in stems) / len(stems)
    length = (1.0, 1.5, 1.6)[len(phrase) - 1]
    early = 1.0 + 1.0 / (1 + position)
    in_title = 1.0 + 0.5 * sum(term in title for term in stems) / len(stems)
    doubt = _doubt(phrase, stems, collection)
    return idf * (1 + math.log(count)) * length * early * in_title * doubt


def _doubt(phrase: tuple[str, ...], stems: list[str], collection: Collection) -> float:
    """Less than 1 for what is probably no term: weak words, misspellings, chance neighbours."""
    doubt = 1.0
    if _GENERIC.issuperset(phrase):
        doubt *= 0.2
    if phrase[0] in _WEAK or phrase[-1] in _WEAK or phrase[-1].endswith(("ly", "ed")):
        doubt *= 0.3 if len(phrase) == 1 else 0.5
    if collection.documents > _ENOUGH_DOCUMENTS:
        if any(collection.document_counts.get(term, 0) < 2 for term in stems):
            doubt *= 0.5
        if any(collection.pair_count(a, b) < 2 for a, b in pairwise(stems)):
            doubt *= 0.5
    return doubt


def _without_overlaps(phrases: list[Phrase], limit: int) -> list[Phrase]:
    chosen: list[Phrase] = []
    taken: set[str] = set()
    for phrase in phrases:
        stems = {stem(word) for word in phrase.text.split()}
        if not stems & taken:
            chosen.append(phrase)
            taken |= stems
        if len(chosen) == limit:
            break
    return chosen


def adjacent(terms_in_order: list[str]) -> list[str]:
    """Pairs of terms that stand side by side, each as one string."""
    return [f"{first} {second}" for first, second in pairwise(terms_in_order)]
