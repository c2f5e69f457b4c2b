"""Replies as the store has them, what they cost, and prompts that get none."""

import logging
import math
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from gecko_kedro.base.errors import InputError, Words
from gecko_kedro.teacher.protocol import (
    IMPOSSIBLE,
    Generation,
    Refused,
    Reply,
    Scored,
    ScoredLabels,
    TeacherError,
)
from gecko_kedro.teacher.usage import KindUsage

logger = logging.getLogger(__name__)
OneKind = TypeVar("OneKind", Generation, Scored, ScoredLabels)
EMPTY = Refused("an empty reply")
CHECK_SETTINGS = (
    "Check teacher.http.model, api, max_new_tokens and extra_body, and the length of the prompts "
    "(max_passage_tokens of synthesize and relabel)."
)
_FEW = 10  # so many refusals say nothing about the settings while others are answered
_SHARE = 0.5


class Recent:
    """The replies of the work in hand, so that those found useless can be asked for again."""

    def __init__(self, forget: Callable[[Collection[bytes]], int]) -> None:
        self._forget = forget
        self._replies: dict[str, dict[bytes, Reply]] = {}

    def add(self, kind: str, replies: Mapping[bytes, Reply]) -> None:
        """Remember some."""
        self._replies.setdefault(kind, {}).update(replies)

    def clear(self) -> None:
        """What was answered so far is in order."""
        self._replies.clear()

    def forget(self, kind: str, useless: Callable[[Any], bool]) -> int:
        """Drop the ``useless`` replies of this kind from the store; how many there were."""
        found = self._replies.get(kind, {})
        return self._forget([key for key, reply in found.items() if useless(reply)])


class Refusals:
    """What one teacher refused in this run, by the key of the call: it is not asked for again.

    Refusals are not kept on disk, since what the server refuses may change; a later run asks again.
    """

    def __init__(self, identity: str) -> None:
        self._identity = identity
        self.known: dict[bytes, Refused] = {}

    def add(self, kind: str, key: bytes, refused: Refused) -> None:
        """Remember one and log the server's words, of the first few as a warning."""
        level = logging.WARNING if len(self.known) < _FEW else logging.DEBUG
        logger.log(level, "The teacher refuses a prompt (%s): %s", kind, refused.words)
        self.known[key] = refused

    def stop_at_many(self, kind: str, usage: KindUsage, *, asked: int) -> None:
        """Raise ``TeacherError`` once ten, and more than half of what was ``asked``, are refused.

        ``asked`` counts what the store knew too, and what is still being answered: refusals come
        faster than replies.
        """
        if usage.refused >= _FEW and usage.refused > _SHARE * asked:
            raise self._too_many(kind, f"{usage.refused} of {asked}")

    def stop_without_reply(self, kind: str, usage: KindUsage, *, ever_answered: int) -> None:
        """Raise ``TeacherError`` where all were refused and no run ever got a reply."""
        if usage.refused and not ever_answered:
            raise self._too_many(kind, f"all of {usage.refused}")

    def _too_many(self, kind: str, count: str) -> TeacherError:
        last = list(self.known.values())[-1]
        return TeacherError(
            f"teacher {self._identity!r}, {kind}",
            expected="replies to most prompts",
            got=Words(f"no usable reply to {count} prompts: {last.words}"),
            fix=f"{CHECK_SETTINGS} What was answered before is stored: run again to go on from "
            "there.",
        )


def tokens_of(replies: Collection[Any]) -> tuple[int, int]:
    """Tokens of the prompts and of the replies."""
    return (
        sum(reply.prompt_tokens for reply in replies),
        sum(reply.completion_tokens for reply in replies),
    )


def usable(reply: OneKind | Refused) -> OneKind | Refused:
    """The reply itself; a written one without a word is none, and is never stored."""
    return EMPTY if isinstance(reply, Generation) and not reply.text.strip() else reply


def encode(reply: Generation | Scored | ScoredLabels, identity: str) -> list[object]:
    """The value that is stored; ``InputError`` for a number that cannot be right."""
    value: Any
    if isinstance(reply, Generation):
        value, numbers = reply.text, []
    elif isinstance(reply, Scored):
        value, numbers = reply.log_likelihood, [reply.log_likelihood]
    else:
        value = numbers = [IMPOSSIBLE if n == -math.inf else n for n in reply.log_likelihoods]
    for number in numbers:
        if not math.isfinite(number):
            raise bad_reply(identity, "log-likelihood", number)
    return [value, reply.prompt_tokens, reply.completion_tokens]


def decode(stored: object, reply_type: type[OneKind], key: bytes) -> OneKind:
    """The reply that ``stored`` was made from."""
    made: Mapping[type, type] = {Generation: str, Scored: float, ScoredLabels: tuple}
    match stored:
        case [value, int(prompt_tokens), int(completion_tokens)]:
            return reply_type(made[reply_type](value), prompt_tokens, completion_tokens)
    raise bad_reply("response store", key.hex(), stored)


def bad_reply(identity: str, kind: str, got: object) -> InputError:
    """What is said where the backend breaks its protocol."""
    return InputError(
        f"teacher {identity!r}, {kind}",
        expected="one usable reply to each prompt, with finite log-likelihoods",
        got=got,
        fix="Check the backend; what was answered before is stored and is not asked again.",
    )
