"""Plain sentences out of documentation, Markdown and web text, for the lexical stand-in."""

import re
from itertools import zip_longest

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
_SPACE = re.compile(r"\s+")


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
        for sentence in _SENTENCE_END.split(_SPACE.sub(" ", plain)):
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
    return _joined(prose), _joined(listing)


def _joined(blocks: list[list[str]]) -> list[str]:
    return [" ".join(block) for block in blocks if block]
