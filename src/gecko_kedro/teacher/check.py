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
    Teacher,
    TeacherError,
    object_schema,
)
from gecko_kedro.teacher.replies import CHECK_SETTINGS

logger = logging.getLogger(__name__)
Call = Literal["generate", "query_log_likelihood", "label_log_likelihood"]

_PASSAGE = "Yeast feeds on sugar and gives off carbon dioxide, which makes the dough swell."
_UNFITTING = "The two towers of the harbour were lit with oil until the year of the great storm."
_QUERY = "what makes dough swell"
_SCHEMA = object_schema(query={"type": "string"})
_LABELS = (" 0", " 1")
_RANKERS: dict[Call, str] = {
    "query_log_likelihood": "query_likelihood",
    "label_log_likelihood": "relevance",
}


def check_teacher(teacher: Teacher, calls: Sequence[Call]) -> None:
    """Ask a tiny example of each of ``calls``; nothing of it is stored.

    There has to be a reply to each prompt, with finite numbers; else it raises what the teacher
    raises, or ``InputError``. A ranker scores a passage that fits the query and one that does not:
    a warning says where they do not come in that order.
    """
    started = time.perf_counter()
    for call in calls:
        numbers = _numbers(teacher, call, _replies(teacher, call))
        if call in _RANKERS:
            # The query's likelihood, or how much likelier yes is than no.
            fitting, unfitting = (one[-1] - (one[0] if len(one) > 1 else 0) for one in numbers)
            if not fitting > unfitting:
                logger.warning(
                    "The teacher's %s gives a passage that answers the query %.4g and one that has "
                    "nothing to do with it %.4g: its labels may be worthless. Try a larger model, "
                    "an instruct model behind /chat/completions, or the other ranker alone "
                    "(relabel.rankers).",
                    _RANKERS[call], fitting, unfitting,
                )  # fmt: skip
    if calls:
        logger.info(
            "The teacher answers (%s; %.1f s): %s",
            ", ".join(calls), time.perf_counter() - started, teacher.identity,
        )  # fmt: skip


def _replies(teacher: Teacher, call: Call) -> Sequence[Reply]:
    if call == "generate":
        text = f"Write a search query for the passage, as JSON.\n\nPassage: {_PASSAGE}\nAnswer:"
        asked = [Prompt(text, _fields(_PASSAGE), "check", _SCHEMA)]
        return teacher.generate(asked, temperature=0.0, top_p=1.0, seed=0)
    passages = (_PASSAGE, _UNFITTING)
    if call == "query_log_likelihood":
        prefixes = [Prompt(f"Passage: {p}\nQuery:", _fields(p), "check") for p in passages]
        return teacher.query_log_likelihood(prefixes, [f" {_QUERY}"] * 2)
    question = "Does the passage answer the query? 0 is no, 1 is yes.\n\nPassage: "
    prompts = [
        Prompt(f"{question}{p}\nQuery: {_QUERY}\nRelevance:", _fields(p), "check") for p in passages
    ]
    return teacher.label_log_likelihood(prompts, _LABELS)


def _fields(passage: str) -> dict[str, str]:
    return {"passage": passage, "title": "", "query": _QUERY}


def _numbers(teacher: Teacher, call: Call, replies: Sequence[Reply]) -> list[list[float]]:
    """The log-likelihoods of each reply; raises where a reply is refused or not as it has to be."""
    where = f"teacher {teacher.identity!r}, {call}, start-up check"
    numbers: list[list[float]] = []
    for reply in replies:
        if isinstance(reply, Refused):
            raise TeacherError(
                where,
                expected="a usable reply to a tiny example",
                got=Words(f"no usable reply: {reply.words}"),
                fix=f"{CHECK_SETTINGS} No work was done yet.",
            )
        score = [reply.log_likelihood] if isinstance(reply, Scored) else []
        numbers.append([*score, *getattr(reply, "log_likelihoods", ())])
    each = {"generate": 0, "query_log_likelihood": 1, "label_log_likelihood": len(_LABELS)}[call]
    wanted = 1 if call == "generate" else 2
    whole = len(numbers) == wanted and all(len(one) == each for one in numbers)
    if not whole or not all(math.isfinite(number) for one in numbers for number in one):
        raise InputError(
            where,
            expected=f"{wanted} replies, each with {each} finite numbers",
            got=numbers,
            fix="Check the backend and its model; no work was done yet.",
        )
    return numbers
