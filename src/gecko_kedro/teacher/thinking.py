"""Models that think aloud: what of a reply is the answer, and how a thought is closed at once."""

import json
import re

# The forms that are in use: DeepSeek and Qwen, Mistral, Kimi, Seed, OpenThoughts, and by hand.
_NAMES = r"(?:think|thinking|thought|thoughts|reason|reasoning|reflection|seed:think)"
_OPENING = re.compile(rf"<{_NAMES}>|\[THINK\]|◁think▷|<\|begin_of_thought\|>", re.IGNORECASE)
_CLOSING = re.compile(rf"</{_NAMES}>|\[/THINK\]|◁/think▷|<\|end_of_thought\|>", re.IGNORECASE)
_FINAL = "<|channel|>final<|message|>"  # of harmony, the format of gpt-oss
_CHANNEL = re.compile(r"<\|channel\|>(?:analysis|commentary)\b")
_END = re.compile(r"<\|(?:return|end|start|call)\|>")
# Harmony where special tokens were left out of the text.
_BARE_CHANNEL = re.compile(r"\A(?:assistant)?analysis(?=[A-Z\s])")
_BARE_FINAL = "assistantfinal"
_HARMONY_TURN = "<|start|>assistant"


def answer_of(text: str) -> str:
    """What follows the last thought of a reply; empty where the reply is a thought and no more.

    A text without a thought comes back as it is. JSON that only mentions a marker is no thought.
    """
    if not shows_thought(text) or _is_json(text):
        return text
    if _FINAL in text:
        return _END.split(text.rpartition(_FINAL)[2])[0]
    if _CHANNEL.search(text):
        return ""
    if _BARE_CHANNEL.match(text):
        return text.rpartition(_BARE_FINAL)[2] if _BARE_FINAL in text else ""
    answer = _CLOSING.split(text)[-1]
    return _OPENING.split(answer)[0]  # one that is never closed has no answer after it


def shows_thought(text: str) -> bool:
    """Whether ``text`` has a marker of a thought, opened or closed."""
    markers = (_OPENING, _CLOSING, _CHANNEL, _BARE_CHANNEL)  # the last one is anchored
    return _FINAL in text or any(marker.search(text) for marker in markers)


def without_thought(opening: str) -> str:
    """What has to follow ``opening``, a chat template's beginning of the reply, to skip a thought.

    Some templates begin the thought themselves, others leave the channel to the model. The answer
    or a scored continuation is to come right after what this gives.
    """
    if opening.rstrip().endswith(_HARMONY_TURN):
        return _FINAL
    opened = list(_OPENING.finditer(opening))
    if not opened or _CLOSING.search(opening, opened[-1].end()):
        return ""
    marker = opened[-1].group()
    plain = marker != "<|begin_of_thought|>"
    return f"\n{f'{marker[0]}/{marker[1:]}' if plain else '<|end_of_thought|>'}\n\n"


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
