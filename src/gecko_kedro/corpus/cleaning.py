"""Text as it enters the project: one kind of newline, no control characters, no letter changed."""

import re
from typing import NamedTuple

# Everything str.splitlines() takes for a line border, except \n itself.
_NEWLINE = re.compile("\r\n?|[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
# C0 and C1 controls but tab and newline. Format characters (joiners in emoji, marks of
# right-to-left text) are no controls and stay.
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f]")


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
