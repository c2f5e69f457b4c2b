"""The teacher that needs no model: extraction for queries, word statistics for judgements."""

import hashlib
import json
import logging
import math
import random
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from gecko_kedro.base.errors import InputError, Words
from gecko_kedro.teacher.forms import FORMS, Material
from gecko_kedro.teacher.phrases import Collection, adjacent, key_phrases, linked_phrases
from gecko_kedro.teacher.protocol import Generation, Prompt, Scored, ScoredLabels
from gecko_kedro.teacher.settings import LexicalSettings
from gecko_kedro.teacher.task_sentences import FORM_OF, TASKS
from gecko_kedro.teacher.words import STOP_WORDS, sentences, stem, terms, words

logger = logging.getLogger(__name__)

NAME = "lexical stand-in, no LLM, v1"

_LONGEST = {"keywords": 5, "short": 8, "sentence": 14}  # words of a cut sentence, by wanted_length
_PHRASES = 8
_STOP_STEMS = STOP_WORDS | {stem(word) for word in STOP_WORDS}
_LATIN = re.compile(r"[A-Za-z\u00c0-\u024f]")
_DOTTED = re.compile(r"^[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+$")
_CACHED_PASSAGES = 1 << 14


@dataclass(frozen=True)
class _Profile:
    """The words of one passage, counted once."""

    counts: dict[str, float]  # with the weights of title and lead
    length: float
    present: frozenset[str]
    lead: frozenset[str]
    pairs: frozenset[str]
    n_words: int


@dataclass(frozen=True)
class _Query:
    """The words of one query, weighted once."""

    terms: list[str]
    idf: dict[str, float]  # of the content terms
    pair_idf: dict[str, float]  # of adjacent content terms
    total: float  # sums of the two
    pair_total: float


class LexicalTeacher:
    """A lexical STAND-IN for the LLM: it reads no language and knows nothing beyond the corpus.

    It is there so that the whole road runs on a bare machine, through the same protocol, prompts,
    parsing and store as an LLM; its labels are much weaker than an LLM's. Queries are extracted
    from the passage (key phrases by TF-IDF, put into forms). Query likelihood is a
    Dirichlet-smoothed unigram language model (Ponte and Croft 1998; Zhai and Lafferty 2001) in
    which title and lead weigh more. The relevance grade is the IDF-weighted coverage of the query
    by the passage, its lead and its adjacent words, rounded to one of the labels: within a grade
    the retriever's order decides, as with any graded judge.
    """

    def __init__(self, collection: Collection, settings: LexicalSettings) -> None:
        self._collection, self._settings = collection, settings
        self._profile = lru_cache(maxsize=_CACHED_PASSAGES)(self._make_profile)
        self._query = lru_cache(maxsize=1024)(self._make_query)
        knobs = hashlib.sha256(settings.model_dump_json().encode()).hexdigest()[:8]
        self.identity = f"{NAME}; corpus {collection.fingerprint}; settings {knobs}"

    @classmethod
    def fit(cls, texts: Iterable[str], *, settings: LexicalSettings) -> "LexicalTeacher":
        """A teacher that knows the word statistics of ``texts``, the passages of the corpus."""
        collection = Collection.fit(texts)
        if not collection.documents:
            raise InputError(
                "teacher.lexical",
                expected="at least one passage to count words in",
                got=Words("no passages"),
                fix="Check corpus.source.",
            )
        logger.warning(
            "The teacher is a LEXICAL STAND-IN, no LLM: it was fitted on %d passages and %d terms",
            collection.documents, len(collection.counts),
        )  # fmt: skip
        return cls(collection, settings)

    def truncate(self, texts: Sequence[str], max_tokens: int) -> list[str]:
        """As ``Teacher.truncate``; the stand-in's tokens are words between blanks."""
        return [_first_words(text, max_tokens) for text in texts]

    def generate(
        self, prompts: Sequence[Prompt], *, temperature: float, top_p: float, seed: int
    ) -> list[Generation]:
        """``{"task": ..., "query": ...}`` for each prompt; an empty query where nothing is found.

        The fields ``wanted_task`` and ``wanted_length`` are honoured where there is a form for
        them and the passage lends itself to it; without one the form is drawn by ``form_shares``.
        ``temperature`` and ``top_p`` act on the draw of key phrases only.
        """
        return [self._generate(prompt, temperature, top_p, seed) for prompt in prompts]

    def query_log_likelihood(
        self, prefixes: Sequence[Prompt], continuations: Sequence[str]
    ) -> list[Scored]:
        """log P(query | passage) = sum over words of log((f + mu P(w)) / (length + mu))."""
        return [
            self._likelihood(prefix, continuation)
            for prefix, continuation in zip(prefixes, continuations, strict=True)
        ]

    def label_log_likelihood(
        self, prompts: Sequence[Prompt], labels: Sequence[str]
    ) -> list[ScoredLabels]:
        """A distribution that peaks at the grade; ``labels`` go from worst to best."""
        by_grade = [_peaked(grade, len(labels)) for grade in range(len(labels))]
        replies = []
        for prompt in prompts:
            (title, passage), query = _source(prompt), prompt.fields["query"]
            grade = math.floor(self.coverage(query, passage, title) * (len(labels) - 1) + 0.5)
            # In place of prompt tokens: the words that it reads.
            size = self._profile(title, passage).n_words + len(self._query(query).terms)
            replies.append(ScoredLabels(by_grade[grade], size, len(labels)))
        return replies

    def coverage(self, query: str, passage: str, title: str = "") -> float:
        """0 to 1: how much of the query, by IDF, the passage has. 0 for a query of stop-words."""
        profile, wanted = self._profile(title, passage), self._query(query)
        if not wanted.idf:
            return 0.0
        covered, led = (
            sum(idf for term, idf in wanted.idf.items() if term in known) / wanted.total
            for known in (profile.present, profile.lead)
        )
        # A single word has no neighbour: what it covers stands for the pair.
        paired = covered
        if wanted.pair_idf:
            in_pairs = sum(idf for pair, idf in wanted.pair_idf.items() if pair in profile.pairs)
            paired = in_pairs / wanted.pair_total
        knobs = self._settings
        shares = (knobs.coverage_share, knobs.phrase_share, knobs.lead_share)
        parts = zip(shares, (covered, paired, led), strict=True)
        return sum(share * part for share, part in parts) / sum(shares)

    def _generate(self, prompt: Prompt, temperature: float, top_p: float, seed: int) -> Generation:
        title, passage = _source(prompt)
        rng = random.Random(hashlib.sha256(f"{seed}\0{title}\0{passage}".encode()).digest())
        longest = _LONGEST.get(prompt.fields.get("wanted_length", ""))
        material = self._material(title, passage, temperature, top_p, longest)
        wanted = FORM_OF.get(prompt.fields.get("wanted_task", ""))
        task = query = ""
        for form in _draw_order(self._settings.form_shares, rng, first=wanted):
            made = FORMS[form](material, rng)
            if made:
                task, query = rng.choice(TASKS[form]), made
                break
        reply = json.dumps({"task": task, "query": query}, ensure_ascii=False)
        return Generation(reply, len(passage.split()) + len(title.split()), len(reply.split()))

    def _material(
        self, title: str, passage: str, temperature: float, top_p: float, longest: int | None
    ) -> Material:
        found = sentences(passage)
        name = _name(title) if _DOTTED.match(title) else []
        topic = [" ".join(name) or title] if title else []
        letters = [character for character in passage[:2_000] if character.isalpha()]
        phrases = key_phrases([*topic, *found], title, self._collection, limit=_PHRASES)
        named = {stem(word) for word in name}
        return Material(
            sentences=found,
            # What a name says already is nothing to ask for beside it.
            phrases=[p for p in phrases if not named.issuperset(map(stem, p.text.split()))],
            linked=linked_phrases(found, self._collection, limit=_PHRASES),
            name=name,
            is_program=bool(name),
            latin=sum(bool(_LATIN.match(c)) for c in letters) * 2 > len(letters),
            temperature=temperature,
            top_p=top_p,
            longest=longest,
        )

    def _likelihood(self, prefix: Prompt, query: str) -> Scored:
        profile = self._profile(*_source(prefix))
        mu, counts, asked = self._settings.mu, profile.counts, self._query(query).terms
        total = sum(
            math.log(counts.get(term, 0.0) + mu * self._collection.probability(term))
            for term in asked
        ) - len(asked) * math.log(profile.length + mu)
        return Scored(total, profile.n_words, len(asked))

    def _make_profile(self, title: str, passage: str) -> _Profile:
        text, heading, knobs = terms(passage), terms(title), self._settings
        lead = text[: knobs.lead_words]
        weighted: dict[str, float] = dict(Counter(text))
        for part, weight in ((heading, knobs.title_weight), (lead, knobs.lead_weight)):
            for term in part:
                weighted[term] = weighted.get(term, 0.0) + weight
        content, above = (
            [term for term in part if term not in _STOP_STEMS] for part in (text, heading)
        )
        return _Profile(
            counts=weighted,
            length=sum(weighted.values()),
            present=frozenset([*text, *heading]),
            lead=frozenset([*lead, *heading]),
            pairs=frozenset([*adjacent(content), *adjacent(above)]),
            n_words=len(text) + len(heading),
        )

    def _make_query(self, query: str) -> _Query:
        in_order = terms(query)
        content = [term for term in in_order if term not in _STOP_STEMS]
        idf = {term: self._collection.idf(term) for term in content}
        pair_idf = {f"{a} {b}": idf[a] + idf[b] for a, b in pairwise(content)}
        return _Query(in_order, idf, pair_idf, sum(idf.values()), sum(pair_idf.values()))


def _source(prompt: Prompt) -> tuple[str, str]:
    """Title and passage."""
    return prompt.fields.get("title", ""), prompt.fields["passage"]


def _name(title: str) -> list[str]:
    """Words that name a documented thing: of a method with a common name, also its class."""
    parts = title.split(".")
    own = words(parts[-1].strip("_"))
    if len(parts) > 1 and (parts[-1].startswith("__") or len(own) < 2):
        above = words(parts[-2])
        return above if parts[-1].startswith("__") else list(dict.fromkeys([*above, *own]))
    return own


def _peaked(grade: int, n_labels: int) -> tuple[float, ...]:
    """Log-probabilities that fall by 1 nat for each label away from ``grade``."""
    total = math.log(sum(math.exp(-abs(grade - label)) for label in range(n_labels)))
    return tuple(-abs(grade - label) - total for label in range(n_labels))


def _draw_order(shares: Mapping[str, float], rng: random.Random, *, first: str | None) -> list[str]:
    """All forms in the order to try them: ``first`` or one drawn by its share, then by share."""
    ranked = sorted((form for form, share in shares.items() if share > 0), key=lambda f: -shares[f])
    first = first or rng.choices(ranked, [shares[form] for form in ranked])[0]
    return [first, *(form for form in ranked if form != first)]


def _first_words(text: str, n: int) -> str:
    found = list(re.finditer(r"\S+", text))
    return text if len(found) <= n else text[: found[n - 1].end() if n else 0]
