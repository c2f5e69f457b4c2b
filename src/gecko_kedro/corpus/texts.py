"""Text as it enters the project, and what counts as a word, also where no spaces are written.

Cleaning leaves one kind of newline and no control characters, and changes no letter. A *word* is a
run of characters between white space, with three exceptions, so that word limits mean about the
same number of tokens everywhere:

* each Han or Kana character is a word of its own, with the punctuation that closes it;
* in Thai, Lao, Tibetan, Burmese and Khmer each four characters are a word;
* a run of more than 32 characters (base64, minified code) counts one word for each 32.

Only the standard library is imported here: the harvest's worker processes load this module.
"""

import re
from itertools import islice
from typing import NamedTuple

# Everything str.splitlines() takes for a line border, except \n itself.
_NEWLINE = re.compile("\r\n?|[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
# C0 and C1 controls but tab and newline. Format characters (joiners in emoji, marks of
# right-to-left text) are no controls and stay.
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f]")

_ONE_EACH = (
    "\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f"  # Hiragana, Katakana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
)
_FOUR_EACH = "\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff"  # Thai to Tibetan, Burmese, Khmer

_CLOSING = "\u3001\u3002\u3009\u300b\u300d\u300f\u3011\u3015"  # Chinese and Japanese punctuation
_CLOSING += "\uff01\uff09\uff0c\uff0e\uff1a\uff1b\uff1f\uff3d\uff5d"

# The same pattern is run by Python's re and by polars' Rust engine: no look-around, no \p{..}.
WORD_PATTERN = (
    rf"[{_ONE_EACH}][{_CLOSING}]*|[{_CLOSING}]+|[{_FOUR_EACH}]{{1,4}}"
    rf"|[^\s{_ONE_EACH}{_FOUR_EACH}{_CLOSING}]{{1,32}}"
)
WORD = re.compile(WORD_PATTERN)


class CleanText(NamedTuple):
    """A cleaned text and what was changed in it."""

    text: str
    newlines: int  # line borders rewritten as \n
    controls: int  # control characters removed


def clean_text(text: str) -> CleanText:
    r"""``text`` with ``\n`` newlines, without control characters and outer white space.

    Idempotent. Letters, emoji, combining marks and direction marks survive unchanged.
    """
    text, newlines = _NEWLINE.subn("\n", text)
    text, controls = _CONTROL.subn("", text)
    return CleanText(text.strip(), newlines, controls)


def is_unicode(text: str) -> bool:
    r"""Whether ``text`` has a UTF-8 form; a lone surrogate (``"\ud800"``) has none."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def count_words(text: str) -> int:
    """The number of words of ``text``."""
    return len(WORD.findall(text))


def has_words(text: str, minimum: int) -> bool:
    """Whether ``text`` has at least ``minimum`` words; reads no further than it must."""
    return sum(1 for _ in islice(WORD.finditer(text), minimum)) == minimum
