"""Prompts that the endpoint refuses for good: set aside one by one, a stop where they are many."""

import logging

from gecko_kedro.base.errors import Words
from gecko_kedro.teacher.protocol import Refused, TeacherError
from gecko_kedro.teacher.usage import KindUsage

logger = logging.getLogger(__name__)
CHECK_SETTINGS = (
    "Check teacher.http.model, api, max_new_tokens and extra_body, and the length of the prompts "
    "(max_passage_tokens of synthesize and relabel)."
)
_FEW = 10  # so many refusals say nothing about the settings while others are answered
_SHARE = 0.5


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
