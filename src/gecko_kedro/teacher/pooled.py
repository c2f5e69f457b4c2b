"""One teacher to its caller, several behind: each worker of a pool holds the whole backend."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from gecko_kedro.base.errors import InputError
from gecko_kedro.engine import Workers
from gecko_kedro.teacher.protocol import (
    Generation,
    OnReplies,
    Prompt,
    Refused,
    Reply,
    Scored,
    ScoredLabels,
    StreamingTeacher,
    Teacher,
)


@dataclass(frozen=True)
class Ask:
    """A call of the protocol, by name; ``name`` "identity" asks for the property."""

    name: str
    arguments: tuple[Any, ...] = ()
    options: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class Answers:
    """What came of a call: replies by row, and what ended it before there was one to each."""

    replies: dict[int, Reply]
    error: InputError | None = None


class TeacherWorker:
    """A backend in a worker: it answers ``Ask``; no reply is lost to an error that comes later."""

    def __init__(self, make: Callable[[], Teacher]) -> None:
        self._teacher = make()

    def __call__(self, ask: Ask) -> Any:
        """The identity, the cut texts, or ``Answers``."""
        if ask.name == "identity":
            return self._teacher.identity
        call = getattr(self._teacher, ask.name)
        if ask.name == "truncate":
            return call(*ask.arguments)
        streamed: dict[int, Reply] = {}
        if isinstance(self._teacher, StreamingTeacher):
            self._teacher.on_replies = streamed.update
        try:
            return Answers(dict(enumerate(call(*ask.arguments, **dict(ask.options)))))
        except InputError as error:
            return Answers(streamed, error)


class PooledTeacher:
    """See ``Teacher``: calls go to the workers ``calls_at_once`` at a time.

    A ``StreamingTeacher``: the replies of a part are told as soon as it has come back, so that the
    store, which stays in this process, has them. What a worker was asked when it died is asked
    again. Not for two threads at once.
    """

    def __init__(self, workers: Workers, *, calls_at_once: int | None) -> None:
        self._workers, self._size = workers, calls_at_once
        self.on_replies: OnReplies | None = None

    @cached_property
    def identity(self) -> str:
        """That of the backend, as a worker has it; InputError where the workers' differ."""
        found = self._workers.each(Ask("identity"))
        if len(set(found)) != 1:
            raise InputError(
                "teacher, workers of engine.ray.teacher",
                expected="the same backend, model and versions on every machine",
                got=sorted(set(found)),
                fix="Install the same versions and model files everywhere.",
            )
        return str(found[0])

    def truncate(self, texts: Sequence[str], max_tokens: int) -> list[str]:
        """As ``Teacher.truncate``."""
        parts = self._parts(len(texts))
        asks = (Ask("truncate", (_cut(texts, rows), max_tokens)) for rows in parts)
        cut: dict[int, list[str]] = dict(self._workers.spread(asks))
        return [text for number in range(len(parts)) for text in cut[number]]

    def generate(
        self, prompts: Sequence[Prompt], *, temperature: float, top_p: float, seed: int
    ) -> list[Generation | Refused]:
        """As ``Teacher.generate``."""
        options = (("temperature", temperature), ("top_p", top_p), ("seed", seed))
        return self._answer(
            len(prompts), lambda rows: Ask("generate", (_cut(prompts, rows),), options)
        )

    def query_log_likelihood(
        self, prefixes: Sequence[Prompt], continuations: Sequence[str]
    ) -> list[Scored | Refused]:
        """As ``Teacher.query_log_likelihood``."""
        if len(prefixes) != len(continuations):
            raise ValueError("as many continuations as prefixes are needed")
        return self._answer(
            len(prefixes),
            lambda rows: Ask(
                "query_log_likelihood", (_cut(prefixes, rows), _cut(continuations, rows))
            ),
        )

    def label_log_likelihood(
        self, prompts: Sequence[Prompt], labels: Sequence[str]
    ) -> list[ScoredLabels | Refused]:
        """As ``Teacher.label_log_likelihood``."""
        return self._answer(
            len(prompts),
            lambda rows: Ask("label_log_likelihood", (_cut(prompts, rows), list(labels))),
        )

    def _answer(self, n_rows: int, ask: Callable[[range], Ask]) -> list[Any]:
        """After an error nothing more is asked, but what is being answered is still told."""
        parts, replies = self._parts(n_rows), dict[int, Reply]()
        errors: list[Exception] = []

        def asks() -> Iterator[Ask]:
            for rows in parts:
                if errors:
                    return
                yield ask(rows)

        for number, answers in self._workers.spread(asks()):
            errors += [answers.error] if answers.error is not None else []
            own = {parts[number][offset]: reply for offset, reply in answers.replies.items()}
            replies |= own
            errors += self._told(own)
        if errors:
            raise errors[0]
        return [replies[row] for row in range(n_rows)]

    def _told(self, replies: Mapping[int, Reply]) -> list[Exception]:
        """Tell ``replies`` and give what that raised, such as a budget that is spent."""
        try:
            if self.on_replies is not None and replies:
                self.on_replies(replies)
        except InputError as error:
            return [error]
        return []

    def _parts(self, n_rows: int) -> list[range]:
        size = self._size or max(n_rows, 1)
        return [range(start, min(start + size, n_rows)) for start in range(0, n_rows, size)]


def _cut(items: Sequence[Any], rows: range) -> list[Any]:
    return list(items[rows.start : rows.stop])
