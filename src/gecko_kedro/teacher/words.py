"""Words and sentences of a text, for the lexical stand-in.

Identifiers are split and endings are stripped; sentences come out of documentation, Markdown and
web text.
"""

import re
from functools import lru_cache
from itertools import zip_longest

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


# Sections that list names, types and program text; their prose serves where there is no other.
_LISTING = (
    "parameters|other parameters|args|arguments?|keyword args|keyword arguments|call arguments"
    "|optional arguments?|attributes|methods|raises?|warns?|returns?|yields?|see also"
    "|references?|examples?|example usage|usage|inputs?|outputs?"
)
_HEADER = re.compile(
    rf"^\s*(?:#+\s*)?(?:(?P<listing>{_LISTING})|notes?|warnings?|todo)\s*(?:::?)?\s*$",
    re.IGNORECASE,
)
_RULE = re.compile(r"^\s*([-=~^*_#.])\1{2,}\s*$")
# Program text, tables and their borders, directives, option lists, "name : type" of numpydoc.
_NOT_PROSE = re.compile(
    r"^\s*(?:>>>|\.\.\. |\.\.\s|\$ |\||\+[-=]|[\u2500-\u257f]|@\w)"
    r"|^\s*(?:import |from \w+ import |def |class \w+[(:])"
    r"|^\s*\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*\s+:\s+\S|^\s*\*{0,2}\w+\s*\([^)]*\)\s*:"
)
_FIELD = re.compile(r"^\s*:(?:param|type|return|returns|rtype|raises|raise|keyword)[^:]*:\s*", re.I)
_SUBSTITUTIONS = (
    (re.compile(r"https?://\S+|www\.\S+"), " "),
    (re.compile(r"<[^<>\n]{1,200}>`?_{0,2}"), " "),  # HTML tags and targets of reST links
    (re.compile(r"\[\d+\]_?|\|\w+\|"), " "),
    (re.compile(r":math:`[^`]*`|\$[^$\n]{1,200}\$|\\[a-zA-Z]+(?:\{[^{}]*\})?"), " "),
    (re.compile(r":[\w:+-]+:`~?!?(?:[\w.]*\.)?([^`]*)`"), r"\1"),  # roles of reST, the last name
    (re.compile(r"!?\[([^\]\n]*)\]\([^)\n]*\)"), r"\1"),  # links of Markdown
    (re.compile(r"`+([^`\n]*)`+_{0,2}"), r"\1"),
    (re.compile(r"(?<!\w)[*_]{1,3}(\S(?:[^*\n]*\S)?)[*_]{1,3}(?!\w)"), r"\1"),
    (re.compile(r"\s*\((?:[^()]|\([^()]*\))*\)"), ""),  # what is in brackets is an aside
)  # fmt: skip
_BULLET = re.compile(r"^\s*(?:[-*\u2022]|\d{1,2}[.)])\s+")
_SENTENCE_END = re.compile(
    r"(?<=[.!?\u061f\u06d4\u3002])(?<!e\.g\.)(?<!i\.e\.)(?<!\bvs\.)\s+|(?<=\u3002)"
)


def sentences(text: str) -> list[str]:
    """The sentences of ``text`` in order, less markup, program text and headers of sections.

    Where there is prose, the listing sections (parameters, examples, ...) are left out.
    """
    prose, listing = _blocks(text)
    return _split(prose) or _split(listing)


def _split(blocks: list[str]) -> list[str]:
    found = []
    for block in blocks:
        plain = block
        for pattern, replacement in _SUBSTITUTIONS:
            plain = pattern.sub(replacement, plain)
        for sentence in _SENTENCE_END.split(re.sub(r"\s+", " ", plain)):
            stripped = sentence.strip(" \t\"'*_`~:;,-|>")
            if any(character.isalpha() for character in stripped):
                found.append(stripped)
    return found


def _blocks(text: str) -> tuple[list[str], list[str]]:
    """Runs of lines: those of prose, and those of listing sections.

    A bullet, a blank line or program text ends a run. A section of the Google style ("Args:" and
    indented lines) ends where the indentation does, one of the numpy style (underlined) at the
    next header.
    """
    prose: list[list[str]] = [[]]
    listing: list[list[str]] = [[]]
    current, section_indent, in_program = prose, -1, False
    lines = text.splitlines()
    for line, following in zip_longest(lines, lines[1:], fillvalue=""):
        if not line.strip():
            in_program = False
            current.append([])
            continue
        indent = len(line) - len(line.lstrip())
        header = _HEADER.match(line)
        underlined = bool(_RULE.match(following)) and len(line.split()) <= 4
        if header or underlined:
            current = listing if header and header["listing"] else prose
            section_indent = -1 if underlined else indent
        elif section_indent >= 0 and indent <= section_indent:
            current, section_indent = prose, -1
        in_program = in_program or line.lstrip().startswith((">>>", "```"))
        if header or underlined or in_program or _RULE.match(line) or _NOT_PROSE.match(line):
            current.append([])
            continue
        if _BULLET.match(line) or _FIELD.match(line):
            current.append([])
        current[-1].append(_FIELD.sub("", _BULLET.sub("", line)))
    return [" ".join(block) for block in prose if block], [" ".join(b) for b in listing if b]
