"""Words of a text, for the lexical stand-in: identifiers are split, endings are stripped."""

import re
from functools import lru_cache

# Letters or digits of any script; an underscore separates, an apostrophe joins ("don't").
_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W\d_]+)?")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_VOWEL = re.compile(r"[aeiouy]")
_DOUBLED = re.compile(r"([bdfgmnprt])\1$")

_STOP_WORDS_TEXT = """
a about above after again against all also although always am among an and another any are
aren't as at be because been before being below best between both but by can can't cannot could
did didn't do does doesn't doing don't done down during each either else etc even ever every few
for from further get gets give given gives go goes had has hasn't have haven't having he hence
her here hers him himself his how however i if in instead into is isn't it it's its itself just
least less let like likely made make makes making many may maybe me might more most much must my
near need needs neither never no nor not now of off often on once one only onto or other others
otherwise our ours out over own per perhaps quite rather really same see seem seems several
shall she should since so some such take taken takes than that that's the their them themselves
then there therefore these they this those though through thus to together too toward under
unless until up upon us use used uses using usually very via was wasn't we well were what when
where whether which while who whom whose why will with within without won't would yes yet you
your yours e.g i.e eg ie vs
"""
STOP_WORDS = frozenset(_STOP_WORDS_TEXT.split())


def words(text: str) -> list[str]:
    """Lower-case words in order; ``read_csv`` and ``LogisticRegression`` give their parts."""
    return [word.lower() for word in _WORD.findall(_HUMP.sub(" ", text))]


@lru_cache(maxsize=1 << 17)
def stem(word: str) -> str:
    """The word less its English inflection; words of other scripts come back unchanged.

    Lighter than Porter's: it joins plurals, -ed, -ing, -ly and a few derived endings, which is
    what matters between a query and a passage, and never leaves fewer than three letters.
    """
    word = _singular(word.replace("\u2019", "'").removesuffix("'s"))
    for ending in ("ing", "edly", "ed", "ly"):
        base = word.removesuffix(ending)
        if base != word and len(base) >= 3 and _VOWEL.search(base):
            word = _DOUBLED.sub(r"\1", base)
            break
    for ending, replacement in (
        ("ization", "iz"), ("isation", "iz"), ("ational", "at"), ("ation", "at"), ("ise", "iz"),
        ("ional", "ion"), ("ement", ""), ("ment", ""), ("ness", ""),
    ):  # fmt: skip
        base = word.removesuffix(ending)
        if base != word and len(base) >= 4:
            word = base + replacement
            break
    if len(word) > 3 and word.endswith("e"):
        return word[:-1]
    return word[:-1] + "i" if len(word) > 3 and word.endswith("y") else word


def _singular(word: str) -> str:
    if len(word) <= 3 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "ches", "shes", "zes")):
        return word[:-2]
    return word[:-1]


def terms(text: str) -> list[str]:
    """Stems of all words in order, stop-words included (a language model counts them too)."""
    return [stem(word) for word in words(text)]
