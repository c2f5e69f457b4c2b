"""The start-up check: one tiny example of each call that a run will need, before any work."""

import logging
import math
import time
from collections.abc import Sequence
from typing import Literal

from gecko_kedro.base.errors import InputError, Words
from gecko_kedro.teacher.protocol import (
    Prompt,
    Refused,
    Reply,
    Scored,
    ScoredLabels,
    Teacher,
    TeacherError,
)
from gecko_kedro.teacher.refusals import CHECK_SETTINGS

logger = logging.getLogger(__name__)
Call = Literal["generate", "query_log_likelihood", "label_log_likelihood"]

_PASSAGE = "Yeast feeds on sugar and gives off carbon dioxide, which makes the dough swell."
_QUERY = "what makes dough swell"
_FIELDS = {"passage": _PASSAGE, "title": "", "query": _QUERY}
_SCHEMA = {
    "type": "object",
    "properties": {"query": {"type": "string"}},
    "required": ["query"],
    "additionalProperties": False,
}
_GENERATE = Prompt(
    f"Write a search query for the passage, as JSON.\n\nPassage: {_PASSAGE}\nAnswer:",
    _FIELDS, "check", _SCHEMA,
)  # fmt: skip
_LIKELIHOOD = Prompt(f"Passage: {_PASSAGE}\nQuery:", _FIELDS, "check")
_RELEVANCE = Prompt(
    f"Does the passage answer the query? 0 is no, 1 is yes.\n\nPassage: {_PASSAGE}\n"
    f"Query: {_QUERY}\nRelevance:", _FIELDS, "check",
)  # fmt: skip
_LABELS = (" 0", " 1")


def check_teacher(teacher: Teacher, calls: Sequence[Call]) -> None:
    """Ask one tiny example of each of ``calls``; nothing of it is stored.

    Whether the replies are good is not looked at, only that there is one to each prompt and that
    likelihoods are finite numbers. Raises what the teacher raises, else ``InputError``.
    """
    started = time.perf_counter()
    for call in calls:
        _refuse_unusable(teacher, call, _numbers(teacher, call))
    if calls:
        logger.info(
            "The teacher answers (%s; %.1f s): %s",
            ", ".join(calls), time.perf_counter() - started, teacher.identity,
        )  # fmt: skip


def _numbers(teacher: Teacher, call: Call) -> list[float]:
    """The numbers of the replies; generated text counts as 0.0."""
    replies: Sequence[Reply]
    if call == "generate":
        replies = teacher.generate([_GENERATE], temperature=0.0, top_p=1.0, seed=0)
    elif call == "query_log_likelihood":
        replies = teacher.query_log_likelihood([_LIKELIHOOD], [f" {_QUERY}"])
    else:
        replies = teacher.label_log_likelihood([_RELEVANCE], _LABELS)
    numbers: list[float] = []
    for reply in replies:
        match reply:
            case Refused(words):
                raise _refused(teacher, call, words)
            case Scored(number):
                numbers.append(number)
            case ScoredLabels(several):
                numbers += several
            case _:
                numbers.append(0.0)
    return numbers


def _refused(teacher: Teacher, call: Call, words: str) -> TeacherError:
    return TeacherError(
        f"teacher {teacher.identity!r}, {call}, start-up check",
        expected="a usable reply to a tiny example",
        got=Words(f"no usable reply: {words}"),
        fix=f"{CHECK_SETTINGS} No work was done yet.",
    )


def _refuse_unusable(teacher: Teacher, call: Call, numbers: list[float]) -> None:
    wanted = len(_LABELS) if call == "label_log_likelihood" else 1
    if len(numbers) == wanted and all(map(math.isfinite, numbers)):
        return
    raise InputError(
        f"teacher {teacher.identity!r}, {call}, start-up check",
        expected=f"{wanted} finite numbers for a tiny example",
        got=numbers,
        fix="Check the backend and its model; no work was done yet.",
    )
