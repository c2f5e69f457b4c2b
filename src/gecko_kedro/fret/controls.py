"""Diversity of the synthetic queries: which kind of task, length and difficulty each is to have.

The paper has no such sampler: its diversity comes from the corpus and from the few-shot examples
(section 3.1). Placeholders for length and difficulty are E5-mistral's (Wang et al. 2024, table 8).
"""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, NonNegativeFloat

from gecko_kedro.base.errors import InputError
from gecko_kedro.base.settings import Settings
from gecko_kedro.corpus.splits import stable_hash
from gecko_kedro.fret.tasks import TaskName

Length = Literal["keywords", "short", "sentence"]
AXES = ("task", "length", "difficulty")
_HASH_RANGE = 1 << 64
_SHORT_WORDS = 8  # a query of more words is a sentence, whatever its last character
# Words that a search box does not get: one of them makes a phrase of a list of keywords.
_FUNCTION_WORDS = frozenset(
    {"a", "an", "the", "is", "are", "was", "were", "be", "do", "does", "did", "can", "could", "how",
     "what", "when", "where", "which", "who", "whom", "whose", "why", "to", "for", "from", "of",
     "in", "on", "at", "by", "with", "and", "or", "that", "this", "it", "its", "as", "than", "if"}
)  # fmt: skip


class TaskKind(Settings):
    """One kind of task of the inventory."""

    wording: str = Field(min_length=1, description="as the prompt says it")
    task_name: TaskName = Field(description="the short name that its tasks should map to")
    lengths: tuple[Length, ...] = Field(min_length=1, description="that suit it")


class Wanted(Settings):
    """What one query is to be like; None: left to the teacher."""

    task: str | None = None
    length: str | None = None
    difficulty: str | None = None


class Shares(Settings):
    """Wanted share of each name on each axis; they need not add up to 1. Empty: no control."""

    task: dict[str, NonNegativeFloat] = {}
    length: dict[str, NonNegativeFloat] = {}
    difficulty: dict[str, NonNegativeFloat] = {}


class Inventory(Settings):
    """The names on each axis and how the prompt says them."""

    task: dict[str, TaskKind]
    length: dict[Length, str]
    difficulty: dict[str, str]

    def wording(self, axis: str, name: str | None) -> str | None:
        """``name`` as the prompt says it."""
        if name is None:
            return None
        return self.task[name].wording if axis == "task" else str(getattr(self, axis)[name])

    def problem_of(self, wanted: Wanted) -> str | None:
        """What of ``wanted`` is not in the inventory; None where all is."""
        for axis in AXES:
            name = getattr(wanted, axis)
            if name is not None and name not in getattr(self, axis):
                return f"an unknown {axis} {name!r}"
        return None

    def check(self, shares: Shares) -> None:
        """Raise InputError unless ``shares`` has known names only, one of them above 0."""
        for axis in AXES:
            own, known = getattr(shares, axis), list(getattr(self, axis))
            unknown = sorted(set(own) - set(known))
            if unknown or (own and not any(own.values())):
                raise InputError(
                    f"synthesize.write.shares.{axis}",
                    expected=f"shares of {', '.join(known)}, one of them above 0, or nothing: {{}}",
                    got=unknown or own,
                    fix="The names are those of synthesis.inventory in the prompts' file.",
                )

    def draw(self, query_id: str, shares: Shares, *, seed: int) -> Wanted:
        """What the query ``query_id`` is to be like: of (seed, query id) and the shares only.

        A length that does not suit the kind of task is not drawn for it: what the task leaves
        over shares by their proportions. Where nothing is left over, any length that suits.
        """

        def pick(axis: str, own: Mapping[str, float]) -> str | None:
            return _pick(own, stable_hash(f"{axis}\0{query_id}", seed=seed) / _HASH_RANGE)

        task = pick("task", shares.task)
        lengths: Mapping[str, float] = shares.length
        if task is not None and lengths:
            suiting = self.task[task].lengths
            lengths = {name: lengths[name] for name in suiting if lengths.get(name)}
            lengths = lengths or dict.fromkeys(suiting, 1.0)
        return Wanted(
            task=task,
            length=pick("length", lengths),
            difficulty=pick("difficulty", shares.difficulty),
        )


def length_of(query: str) -> Length:
    """Its class by words and punctuation (English and its like).

    A sentence ends like one or has more than 8 words; keywords have no function word.
    """
    words = query.split()
    if len(words) > _SHORT_WORDS or query.rstrip().endswith((".", "!", "\u3002")):
        return "sentence"
    if query.rstrip().endswith(("?", "\u061f", "\uff1f")):
        return "short"
    return "short" if _FUNCTION_WORDS & {word.casefold() for word in words} else "keywords"


def _pick(shares: Mapping[str, float], point: float) -> str | None:
    """The name at ``point`` (0 to 1) of the shares laid end to end; None where there are none."""
    left = point * sum(shares.values())
    chosen = None
    for name, share in shares.items():
        if share > 0:
            chosen = name
            left -= share
            if left < 0:
                break
    return chosen
