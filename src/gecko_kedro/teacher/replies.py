"""Replies as the store has them, and what they cost."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

from gecko_kedro.base.errors import InputError
from gecko_kedro.teacher.protocol import (
    IMPOSSIBLE,
    Generation,
    Refused,
    Reply,
    Scored,
    ScoredLabels,
)
from gecko_kedro.teacher.usage import KindUsage

OneKind = TypeVar("OneKind", Generation, Scored, ScoredLabels)


EMPTY = Refused("an empty reply")


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


def hits(keys: Sequence[bytes], stored: Mapping[bytes, Any], *, repeated: int) -> KindUsage:
    """What the calls of ``keys`` that are ``stored``, and ``repeated`` ones, saved."""
    found = [stored[key] for key in keys if key in stored]
    return KindUsage(
        hits=repeated,
        hit_prompt_tokens=sum(reply.prompt_tokens for reply in found),
        hit_completion_tokens=sum(reply.completion_tokens for reply in found),
    )


def paid(answers: Collection[Any], *, seconds: float) -> KindUsage:
    """What ``answers`` cost."""
    return KindUsage(
        calls=len(answers),
        prompt_tokens=sum(reply.prompt_tokens for reply in answers),
        completion_tokens=sum(reply.completion_tokens for reply in answers),
        seconds=seconds,
    )


def usable(reply: OneKind | Refused) -> OneKind | Refused:
    """The reply itself; a written one without a word is none, and is never stored."""
    if isinstance(reply, Generation) and not reply.text.strip():
        return EMPTY
    return reply


def encode(reply: Generation | Scored | ScoredLabels, identity: str) -> list[object]:
    """The value that is stored; ``InputError`` for a number that cannot be right."""
    if isinstance(reply, Generation):
        value: object = reply.text
    elif isinstance(reply, Scored):
        value = _finite(reply.log_likelihood, identity)
    else:
        value = [
            IMPOSSIBLE if number == -math.inf else _finite(number, identity)
            for number in reply.log_likelihoods
        ]
    return [value, reply.prompt_tokens, reply.completion_tokens]


def decode(stored: object, reply_type: type[OneKind], key: bytes) -> OneKind:
    """The reply that ``stored`` was made from."""
    match stored:
        case [value, int(prompt_tokens), int(completion_tokens)]:
            pass
        case _:
            raise bad_reply("response store", key.hex(), stored)
    made: Mapping[type, Callable[[Any], Any]] = {
        Generation: str,
        Scored: float,
        ScoredLabels: tuple,
    }
    return reply_type(made[reply_type](value), prompt_tokens, completion_tokens)


def _finite(number: float, identity: str) -> float:
    if not math.isfinite(number):
        raise bad_reply(identity, "log-likelihood", number)
    return number


def bad_reply(identity: str, kind: str, got: object) -> InputError:
    """What is said where the backend breaks its protocol."""
    return InputError(
        f"teacher {identity!r}, {kind}",
        expected="one usable reply to each prompt, with finite log-likelihoods",
        got=got,
        fix="Check the backend; what was answered before is stored and is not asked again.",
    )
