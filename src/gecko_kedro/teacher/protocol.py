"""What the project asks of a teacher: three batch calls, and nothing else.

The calls are those of the paper (section 3): LLM(P_QG, p) -> (t, q), QL(q, p) and RC(q, p).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from gecko_kedro.base.errors import InputError

IMPOSSIBLE = -9999.0  # the log-likelihood of what cannot be, as a number that JSON can hold


@dataclass(frozen=True)
class Prompt:
    """One rendered prompt.

    ``text`` is everything that a language model reads. ``fields`` are the values that were put into
    it (such as ``passage``, ``query``), for a teacher that does not read language: it must never
    parse ``text``. ``version`` names the template and its content. ``reply_schema`` is the JSON
    schema of the wanted reply, for a backend that can constrain its decoding; None for plain text.
    The response store keys on all four.
    """

    text: str
    fields: Mapping[str, str]
    version: str = ""
    reply_schema: Mapping[str, Any] | None = None


def object_schema(**properties: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON schema of an object that has these properties and no other."""
    return {
        "type": "object", "properties": properties, "required": list(properties),
        "additionalProperties": False,
    }  # fmt: skip


@dataclass(frozen=True)
class Generation:
    """One reply and what it cost, in tokens of the backend."""

    text: str
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True)
class Scored:
    """The summed natural-log likelihood of one continuation (not normalised by its length)."""

    log_likelihood: float
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True)
class ScoredLabels:
    """The natural-log likelihood of each label, in the order in which the labels were given."""

    log_likelihoods: tuple[float, ...]
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True)
class Refused:
    """In place of a reply: the endpoint refuses this prompt for good, in these ``words``.

    Such as a prompt that is too long for the model, or that a content filter stops.
    """

    words: str


class Teacher(Protocol):
    """The labeller. Every call keeps the order of its input and returns as many items.

    A prompt that is refused for good is a ``Refused`` in its place; the others are answered.

    A reply may depend on its own prompt and on the keyword arguments only, never on the other
    prompts of the batch: that is what makes replies storable and runs resumable.
    """

    @property
    def identity(self) -> str:
        """Backend, model and revision: equal identities give interchangeable replies."""
        ...

    def truncate(self, texts: Sequence[str], max_tokens: int) -> list[str]:
        """Each text cut to its first ``max_tokens`` tokens of the backend, at the end.

        A text that is short enough comes back as it is, so that the cut ones can be counted.
        """
        ...

    def generate(
        self, prompts: Sequence[Prompt], *, temperature: float, top_p: float, seed: int
    ) -> Sequence[Generation | Refused]:
        """One reply per prompt, the same one each time for the same prompt and ``seed``."""
        ...

    def query_log_likelihood(
        self, prefixes: Sequence[Prompt], continuations: Sequence[str]
    ) -> Sequence[Scored | Refused]:
        """log P(continuation | prefix), pair by pair."""
        ...

    def label_log_likelihood(
        self, prompts: Sequence[Prompt], labels: Sequence[str]
    ) -> Sequence[ScoredLabels | Refused]:
        """log P(label | prompt) for each of ``labels``, which are ordered from worst to best."""
        ...


Reply = Generation | Scored | ScoredLabels | Refused
OnReplies = Callable[[Mapping[int, Reply]], None]


@runtime_checkable
class StreamingTeacher(Protocol):
    """A teacher whose replies come bit by bit: ``on_replies({row: reply})`` is told them at once.

    A row counts within the batch. What it raises ends the batch, after the replies in flight.
    """

    on_replies: OnReplies | None


class TeacherError(InputError):
    """The teacher failed at a prompt for good; everything that it answered before is stored.

    ``cut_at``: the server cuts prompts to so many tokens; replies to such prompts are no replies.
    """

    cut_at: int | None = None
