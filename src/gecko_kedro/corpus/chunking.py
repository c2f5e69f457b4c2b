"""Where to cut a long text: at paragraphs, else sentences, else lines, else words."""

import re
import unicodedata

from gecko_kedro.corpus.texts import WORD

_PARAGRAPH, _SENTENCE, _LINE, _WORD, _NEVER = 4, 3, 2, 1, 0
# The end of a sentence before white space, and before anything where no spaces are written.
_SENTENCE_END = re.compile(r"[.!?\u2026\u061f\u06d4\u0964][\"')\]\u201d\u2019\u00bb]*$")
_UNSPACED_SENTENCE_END = re.compile(r"[\u3002\uff01\uff1f][\u300d\u300f\uff09\u201d]*$")
_JOINERS = frozenset("\u200d\ufe0e\ufe0f")  # zero-width joiner, variation selectors


def chunk(
    text: str, *, min_words: int, max_words: int, overlap_words: int
) -> list[tuple[int, int]]:
    """Character offsets ``(start, end)`` of the passages of ``text``, in order.

    Every word of ``text`` is in at least one passage; a passage has at most ``max_words`` words
    (see texts.py) and begins and ends with a word. A text of at most ``max_words`` is one
    passage. A longer one is cut at the best border in the second half of the room: the end of a
    paragraph, else of a sentence, else of a line, else of a word. The next passage begins with the
    first whole sentence (else line, else word) among the last ``overlap_words`` words of the one
    before, or where that one ends; the last one begins earlier where it would otherwise have fewer
    than ``min_words`` words. A text without words has no passage.
    """
    spans = [match.span() for match in WORD.finditer(text)]
    if len(spans) <= max_words:
        return [(spans[0][0], spans[-1][1])] if spans else []
    # How good it is to begin a passage at each word; the end of the text is the best.
    borders = [*(_border(text, spans, at) for at in range(len(spans))), _PARAGRAPH]
    chunks, first = [], 0
    while True:
        last = _best(borders, first + max(1, (max_words + 1) // 2), first + max_words)
        chunks.append((spans[first][0], spans[last - 1][1]))
        if last == len(spans):
            return chunks
        following = _next_start(borders, max(first + 1, last - overlap_words), last)
        first = max(first + 1, min(following, len(spans) - min_words))


def first_sentence(text: str) -> tuple[str, str]:
    """The first sentence of ``text`` and the rest; the rest is empty where there is no border."""
    spans = [match.span() for match in WORD.finditer(text)]
    for at in range(1, len(spans)):
        if _border(text, spans, at) >= _SENTENCE:
            return text[: spans[at - 1][1]].strip(), text[spans[at][0] :]
    return text, ""


def _border(text: str, spans: list[tuple[int, int]], at: int) -> int:
    if at == 0:
        return _PARAGRAPH
    before, here = spans[at - 1][1], spans[at][0]
    gap = text[before:here]
    if gap.count("\n") > 1:
        return _PARAGRAPH
    # Closing quotes may follow the full stop: look at a few characters, not at the whole word.
    tail = text[max(0, before - 8) : before]
    if _UNSPACED_SENTENCE_END.search(tail):
        return _SENTENCE
    if not gap:
        return _NEVER if _joins(text, here) else _WORD
    if _SENTENCE_END.search(tail) and not text[here].islower():  # "e.g. this" goes on
        return _SENTENCE
    return _LINE if "\n" in gap else _WORD


def _joins(text: str, at: int) -> bool:
    """Whether the character at ``at`` belongs to the one before it: an accent, an emoji's part."""
    return (
        text[at] in _JOINERS
        or text[at - 1] == "\u200d"
        or unicodedata.category(text[at]).startswith("M")
        or "\U0001f3fb" <= text[at] <= "\U0001f3ff"  # skin tones
    )


def _best(borders: list[int], lowest: int, highest: int) -> int:
    """The latest of the best borders in ``lowest..highest`` (both included)."""
    highest = min(highest, len(borders) - 1)
    return max(range(min(lowest, highest), highest + 1), key=lambda at: (borders[at], at))


def _next_start(borders: list[int], lowest: int, highest: int) -> int:
    """The earliest of the best borders, where a paragraph is no better than a sentence."""
    return max(range(lowest, highest + 1), key=lambda at: (min(borders[at], _SENTENCE), -at))
