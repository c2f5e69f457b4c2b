"""From a task in the teacher's words to the short task name that the encoder is told."""

import re
from typing import Literal, get_args

from gecko_kedro.base.text import normalise

# The names of the paper's table 9, in this order of precedence where a task fits several.
TaskName = Literal[
    "fact checking", "semantic similarity", "classification", "question answering", "search result"
]
TASK_NAMES: tuple[TaskName, ...] = get_args(TaskName)
_DEFAULT = "search result"
# A long task names both sides ("Given a question, find another question that asks the same"): what
# is wanted of the passage is the better guide, hence similarity before question answering.
_SIGNS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (name, re.compile(pattern, re.IGNORECASE))
    for name, pattern in (
        (
            "fact checking",
            r"fact[- ]?check|check (?:whether|if)|is true|claim|verif|refut|evidence",
        ),
        (
            "semantic similarity",
            r"semantic\w* similar|similar (?:meaning|sentence|text|question)|same (?:meaning|thing)"
            r"|duplicate|paraphras|sentence similarity|equivalent|entail",
        ),
        ("classification", r"classif|categor|same (?:label|class|topic|intent)|sentiment"),
        ("question answering", r"question|answer"),
    )
)


def short_task_name(task: str) -> str:
    """One of TASK_NAMES for a free-form ``task``; "search result" where nothing else fits.

    A task that is a short name already, in any case, comes back as that name.
    """
    plain = normalise(task)
    if plain in TASK_NAMES:
        return plain
    for name, signs in _SIGNS:
        if signs.search(plain):
            return name
    return _DEFAULT
