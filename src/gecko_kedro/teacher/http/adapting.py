"""Parameters that a server does not take: left out or renamed once, in all later requests."""

import logging
import re
from collections.abc import Mapping
from typing import Any

logger = logging.getLogger(__name__)
_RENAMED = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
# Without these a reply is still one to the same question.
_DISPENSABLE = frozenset(("temperature", "top_p", "seed", "stop", "response_format", "stream"))
_ABOUT_LENGTH = re.compile(
    r"context[ _](?:length|window|size)|too (?:large|long)|input tokens|longer than", re.IGNORECASE
)
_ADVICE = {
    "logprobs": "Set teacher.http.dialect: auto, which finds another way to read labels.",
    "top_logprobs": "Lower teacher.http.top_logprobs, or set teacher.http.dialect: auto.",
    "model": "Set teacher.http.model; GET <base_url>/models lists the names.",
}


class Adaptations:
    """What one server was seen to refuse, and what is sent in its place."""

    def __init__(self) -> None:
        self._renamed: dict[str, str] = {}
        self._left_out: set[str] = set()

    def apply(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """``body`` as this server takes it."""
        kept = {name: value for name, value in body.items() if name not in self._left_out}
        return {self._renamed.get(name, name): value for name, value in kept.items()}

    def learn(self, sent: Mapping[str, Any], words: str) -> bool:
        """Whether a refusal in these ``words`` taught a better body; said in the log."""
        if _ABOUT_LENGTH.search(words):
            return False
        for name, other in _RENAMED.items():
            if name in sent and other in words and name not in self._renamed.values():
                self._renamed[name] = other
                logger.info("The teacher wants `%s` in place of `%s`: %s", other, name, words)
                return True
        refused = refused_fields(sent, words) & _DISPENSABLE
        if refused:
            names = ", ".join(sorted(refused))
            logger.warning("The teacher does not take %s, so it is left out: %s", names, words)
        self._left_out |= refused
        return bool(refused)


def refused_fields(sent: Mapping[str, Any], words: str) -> set[str]:
    """The fields of a body that a refusal names as such; none where it is about a length."""
    if _ABOUT_LENGTH.search(words):
        return set()
    return {name for name in sent if _names(name).search(words)}


def advice(sent: Mapping[str, Any], words: str) -> str | None:
    """What to set where the server refuses a field that is needed; None where it names none."""
    named = refused_fields(sent, words) - {"prompt", "messages"}
    if not named:
        return None
    first = min(named)
    return _ADVICE.get(
        first, f"teacher.http.extra_body: {{{first}: null}} leaves it out; another value sets it."
    )


def _names(field: str) -> re.Pattern[str]:
    """A mention of the field, not of the word: quoted, or as what is refused."""
    name = re.escape(field)
    return re.compile(
        rf"['\"`]{name}['\"`]"
        rf"|\b(?:parameter|argument|field|option|input)s?:? {name}\b"
        rf"|\b{name} (?:is not|are not|isn't|must|does not|parameter|not)\b"
        rf"|\b(?:unsupported|unknown|unexpected|unrecognized|invalid)[\w ]*:? {name}\b",
        re.IGNORECASE,
    )
