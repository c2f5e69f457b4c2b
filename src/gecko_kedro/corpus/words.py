"""What counts as a word, also where a language writes no spaces.

A *word* is a run of characters between white space, with three exceptions, so that word limits
mean about the same number of tokens everywhere:

* each Han or Kana character is a word of its own, with the punctuation that closes it;
* in Thai, Lao, Tibetan, Burmese and Khmer each four characters are a word;
* a run of more than 32 characters (base64, minified code) counts one word for each 32.

Only the standard library is imported here: the harvest's worker processes load this module.
"""

import re
from itertools import islice

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


def count_words(text: str) -> int:
    """The number of words of ``text``."""
    return len(WORD.findall(text))


def has_words(text: str, minimum: int) -> bool:
    """Whether ``text`` has at least ``minimum`` words; reads no further than it must."""
    return sum(1 for _ in islice(WORD.finditer(text), minimum)) == minimum
