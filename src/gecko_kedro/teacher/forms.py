"""Forms of query that the lexical stand-in can write: question, keywords, description, claim ...

Each form makes a query out of the material of one passage, or None where the passage does not
lend itself to it. Nothing is invented: every content word is a word of the passage or its title.
"""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gecko_kedro.teacher.phrases import Phrase
from gecko_kedro.teacher.words import STOP_WORDS, stem, words


@dataclass(frozen=True)
class Material:
    """What a passage offers: its sentences, its key phrases (best first), the words of its name."""

    sentences: list[str]
    phrases: list[Phrase]
    linked: list[Phrase]  # such as "convergence of the power method"
    name: list[str]  # words of the name in the title, as in "matrix power"
    is_program: bool  # the title is a dotted name, as of a function
    latin: bool  # the templates are English; other scripts get forms without templates

    temperature: float = 1.0  # of the draw of phrases; 0 takes the best
    top_p: float = 1.0
    longest: int | None = None  # words of a query that is a shortened sentence; None: as it comes

    def draw(self, rng: random.Random, n: int, *, linked: bool = False) -> list[str]:
        """``n`` of the phrases (fewer where there are fewer), those of more weight likelier."""
        pool, drawn = list(self.linked if linked else self.phrases), list[str]()
        while pool and len(drawn) < n:
            phrase = self._sample(pool, rng)
            pool.remove(phrase)
            drawn.append(phrase.text)
        return drawn

    def _sample(self, pool: list[Phrase], rng: random.Random) -> Phrase:
        if self.temperature == 0:
            return pool[0]
        # Relative to the best, so that a low temperature cannot overflow.
        weights = [(item.weight / pool[0].weight) ** (1 / self.temperature) for item in pool]
        total, mass, size = sum(weights), 0.0, 0
        while size < len(pool) and mass < self.top_p * total:
            mass += weights[size]
            size += 1
        return rng.choices(pool[:size], weights[:size])[0]


_DEFINITION = re.compile(
    r"^(?:an? |the |in [\w\s]{3,40}, (?:an? |the )?)?(?P<what>[\w' -]{3,50}?),? "
    r"(?:is|are|refers to|means|describes) (?!not\b|used\b|only\b|also\b|called\b)", re.IGNORECASE
)  # fmt: skip
# What a passage talks about and how one would ask for it. {x} is its topic.
_CUES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), question)
    for pattern, question in (
        (r"\bsymptoms? (?:of|include|may)|signs and symptoms", "What are the symptoms of {x}?"),
        (r"\bis caused by|\bcauses? of|mutations? in", "What causes {x}?"),
        (r"\btreat(?:ment|ed|s)\b|therap(?:y|ies)", "How is {x} treated?"),
        (r"\bdiagnos(?:is|ed|e)\b", "How is {x} diagnosed?"),
        (r"\bprevent(?:ed|ion|s)?\b", "How can {x} be prevented?"),
        (r"\binherited|autosomal", "Is {x} inherited?"),
        (r"\brisk factors?|at risk|increases? the risk", "Who is at risk of {x}?"),
        (r"\bdiffer(?:s|ent|ences?) (?:from|between)|whereas\b", "How does {x} differ from {y}?"),
        (r"\badvantages?|benefits?|outperforms?", "What are the advantages of {x}?"),
        (r"\bassum(?:e|es|ption|ptions)\b", "What does {x} assume?"),
        (r"\bconverge(?:s|nce)?\b", "Does {x} converge?"),
        (r"\bcalculat|\bdivided by|\bmultiplied|\bformula", "How do you calculate {x}?"),
        (r"\bexperiment(?:s|al)?\b|\bmeasure", "What do experiments show about {x}?"),
        (r"\bwe (?:propose|present|introduce|show|study)", "Which methods address {x} and {y}?"),
    )
)  # fmt: skip
_GENERAL = ("What is {x}?", "How does {x} work?", "How is {x} related to {y}?",
            "What is the role of {x} in {y}?", "What is {x} in {y}?")  # fmt: skip
_LINKED = ("What is the {x}?", "Tell me about the {x}", "Explain the {x}")
_PROGRAM = ("How do I {v}?", "How to {v} with {x}?", "Which function handles {x} and {y}?",
            "How is {x} handled in {n}?", "What does {n} do with {x}?")  # fmt: skip
_OPENING = re.compile(
    r"^(?:(?:however|moreover|furthermore|therefore|thus|also|note that|in addition|for example"
    r"|for instance|in this (?:paper|work|article|study)|that is|finally|similarly|in general"
    r"|additionally|specifically|hence|in particular|please note that|by default),? )+",
    re.IGNORECASE,
)
_SUBJECT = re.compile(
    r"^(?:(?:this|the|these) (?:\w+ ){0,2}?(?:function|method|class|module|object|routine|command"
    r"|package|decorator|utility|property|attribute|wrapper|helper|paper|article|implementation)s?"
    r"|it|this|we|they) (?:(?:also|can be used to|is used to|may be used to|will|can|simply|is) )?",
    re.IGNORECASE,
)
# A long sentence may stop before one of these ...
_CUT_BEFORE = frozenset(
    ("in", "for", "with", "by", "that", "which", "and", "or", "but", "when", "if", "because",
     "from", "on", "as", "using", "where", "while", "so", "than", "between", "through", "into")
)  # fmt: skip
# ... and none may open with one of these.
_MIDDLE = frozenset(
    ("if", "when", "while", "where", "which", "that", "and", "or", "but", "because", "so", "as",
     "than", "otherwise", "since", "although", "unless", "whether", "until", "then", "return")
)  # fmt: skip
_DANGLING = STOP_WORDS | {"respectively"}
_REFERENCE = re.compile(r"\b(?:this|these|above|below|following|see|it|they|here|such)\b", re.I)


def question(material: Material, rng: random.Random) -> str | None:
    """A question in the manner that the passage suggests: a definition, a cue, or a general one."""
    topics = material.draw(rng, 2)
    if not topics or not material.latin:
        return None
    defined = _defined(material)
    if defined and rng.random() < 0.5:
        return f"What is {defined}?"
    linked = material.draw(rng, 1, linked=True)
    if linked and not material.is_program and rng.random() < 0.25:
        return rng.choice(_LINKED).format(x=linked[0])
    x, y = topics[0], topics[-1]
    cued: Sequence[str] = ()
    if material.is_program and material.name:
        templates: Sequence[str] = _PROGRAM
    else:
        text = " ".join(material.sentences)
        cued = [asked for cue, asked in _CUES if cue.search(text)]
        templates = cued or _GENERAL
    if cued:  # what symptoms, causes or assumptions are about is what the passage is about
        x = defined or material.phrases[0].text
    usable = [template for template in templates if x != y or "{y}" not in template]
    if not usable or (len(topics) == 1 and " " not in x and not material.is_program):
        return None
    name = " ".join(material.name)
    verb = name if len(material.name) > 1 else f"{name} {x}"
    return rng.choice(usable).format(x=x, y=y, v=verb, n=name)


def keywords(material: Material, rng: random.Random) -> str | None:
    """Two or three key phrases, as typed into a search box."""
    drawn = material.draw(rng, rng.choice((2, 2, 3)))
    if not drawn:
        return None
    if material.is_program and material.name and rng.random() < 0.5:
        drawn = [" ".join(material.name), *drawn[:2]]
    return " ".join(dict.fromkeys(" ".join(drawn).split()))


def description(material: Material, rng: random.Random) -> str | None:
    """What the thing does or is, as a summary line would say it: a shortened early sentence."""
    for sentence in _ordered(material.sentences[:3], rng):
        plain = _SUBJECT.sub("", _OPENING.sub("", sentence))
        short = _shorten(plain, longest=material.longest or rng.choice((8, 10, 12)))
        content = set(words(short or "")) - STOP_WORDS
        if short is not None and len(content) >= 2 and not _REFERENCE.search(short):
            return short[0].lower() + short[1:] if short[1:2].islower() else short
    return None


def title(material: Material, rng: random.Random) -> str | None:
    """A heading: words that the passage links itself, or the name with a phrase."""
    linked, drawn = material.draw(rng, 1, linked=True), material.draw(rng, 2)
    if material.is_program and material.name:
        link = ["for"] if drawn and material.latin else []
        heading = " ".join([*material.name, *link, *drawn[:1]])
    elif linked:
        heading = linked[0]
    elif len(drawn) > 1 and material.latin:
        heading = f"{drawn[0]} and {drawn[1]}"
    else:
        return None
    heading = " ".join(heading.split())
    return heading[0].upper() + heading[1:]


def claim(material: Material, rng: random.Random) -> str | None:
    """A statement that the passage allows one to check: a salient sentence, shortened."""
    weights = {word for phrase in material.phrases for word in phrase.text.split()}
    best = sorted(material.sentences, key=lambda one: -len(weights.intersection(words(one))))
    for sentence in _ordered(best[:3], rng):
        short = _shorten(_OPENING.sub("", sentence), longest=material.longest or 14)
        if short is not None and len(short.split()) >= 5 and not _REFERENCE.search(short):
            return short[0].upper() + short[1:] + ("." if material.latin else "")
    return None


def rewording(material: Material, rng: random.Random) -> str | None:
    """A sentence that shares the meaning: the content words of a salient one, and a key phrase."""
    made = claim(material, rng)
    if made is None:
        return None
    kept = [word for word in made.rstrip(".").split() if word.lower() not in STOP_WORDS]
    extra = [p for p in material.draw(rng, 1) if stem(p.split()[0]) not in map(stem, words(made))]
    return " ".join([*extra, *kept]).lower() if len(kept) >= 3 else None


_FORMS: tuple[Callable[[Material, random.Random], str | None], ...] = (
    question, keywords, description, title, claim, rewording,
)  # fmt: skip
FORMS = {form.__name__: form for form in _FORMS}


def _defined(material: Material) -> str | None:
    """The subject of an opening like "An eigenvalue of a matrix is ...", if it is a key phrase."""
    key = {word for phrase in material.phrases[:3] for word in phrase.text.split()}
    for sentence in material.sentences[:2]:
        match = _DEFINITION.match(sentence)
        if match and not _REFERENCE.search(match["what"]):
            what = words(match["what"])
            borders = {*what[:1], *what[-1:]}
            if len(what) <= 5 and key & set(what) and not borders & STOP_WORDS:
                return " ".join(what)
    return None


def _shorten(sentence: str, *, longest: int) -> str | None:
    """The sentence where it is short, else its beginning up to the last good place to stop.

    None where fewer than three words are left, where it opens in the middle of a thought, or where
    a third of it is not words.
    """
    tokens = sentence.split()
    if tokens and tokens[0].lower().strip(",") in _MIDDLE:
        return None
    if len(tokens) > longest:
        good = (
            at for at in range(longest, 2, -1)
            if tokens[at].lower() in _CUT_BEFORE or tokens[at - 1][-1] in ",;:"
        )  # fmt: skip
        tokens = tokens[: next(good, 0)]
    while tokens and tokens[-1].lower().strip(".,;:") in _DANGLING:
        tokens.pop()
    plain = sum(token.strip(".,;:!?'\"").replace("-", "").isalpha() for token in tokens)
    if len(tokens) < 3 or plain * 3 < len(tokens) * 2:
        return None
    return " ".join(tokens).rstrip(" .,;:!?\u2026")


def _ordered(items: list[str], rng: random.Random) -> list[str]:
    """The first item first two times in three, else another order."""
    if len(items) > 1 and rng.random() < 1 / 3:
        return [*items[1:], items[0]]
    return items
