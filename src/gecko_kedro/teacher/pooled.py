"""One teacher to its caller, several behind: each worker of a pool holds the whole backend."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter, methodcaller
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
class _Broken:
    """What ended a call, and the replies by row that were there before."""

    replies: dict[int, Reply]
    error: InputError


class TeacherWorker:
    """A backend in a worker; no reply is lost to an error that comes later."""

    def __init__(self, make: Callable[[], Teacher]) -> None:
        self._teacher = make()

    def __call__(self, ask: Callable[[Teacher], Any]) -> Any:
        """What the backend answers, or ``_Broken``."""
        streamed: dict[int, Reply] = {}
        if isinstance(self._teacher, StreamingTeacher):
            self._teacher.on_replies = streamed.update
        try:
            return ask(self._teacher)
        except InputError as error:
            return _Broken(streamed, error)


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
        found = set(map(_whole, self._workers.each(attrgetter("identity"))))
        if len(found) != 1:
            raise InputError(
                "teacher, workers of engine.ray.teacher",
                expected="the same backend, model and versions on every machine",
                got=sorted(found),
                fix="Install the same versions and model files everywhere.",
            )
        return str(found.pop())

    def truncate(self, texts: Sequence[str], max_tokens: int) -> list[str]:
        """As ``Teacher.truncate``."""
        parts = self._parts(len(texts))
        cut = dict(
            self._workers.spread(methodcaller("truncate", texts[p], max_tokens) for p in parts)
        )
        return [text for number in range(len(parts)) for text in _whole(cut[number])]

    def generate(
        self, prompts: Sequence[Prompt], *, temperature: float, top_p: float, seed: int
    ) -> list[Generation | Refused]:
        """As ``Teacher.generate``."""
        options = {"temperature": temperature, "top_p": top_p, "seed": seed}
        return self._answer(
            len(prompts), lambda part: methodcaller("generate", prompts[part], **options)
        )

    def query_log_likelihood(
        self, prefixes: Sequence[Prompt], continuations: Sequence[str]
    ) -> list[Scored | Refused]:
        """As ``Teacher.query_log_likelihood``."""
        if len(prefixes) != len(continuations):
            raise ValueError("as many continuations as prefixes are needed")
        call = "query_log_likelihood"
        return self._answer(
            len(prefixes), lambda part: methodcaller(call, prefixes[part], continuations[part])
        )

    def label_log_likelihood(
        self, prompts: Sequence[Prompt], labels: Sequence[str]
    ) -> list[ScoredLabels | Refused]:
        """As ``Teacher.label_log_likelihood``."""
        call = "label_log_likelihood"
        return self._answer(len(prompts), lambda part: methodcaller(call, prompts[part], labels))

    def _answer(self, n_rows: int, ask: Callable[[slice], methodcaller]) -> list[Any]:
        """After an error nothing more is asked, but what is being answered is still told."""
        parts, replies = self._parts(n_rows), dict[int, Reply]()
        errors: list[InputError] = []

        def asks() -> Iterator[methodcaller]:
            for part in parts:
                if errors:
                    return
                yield ask(part)

        for number, answers in self._workers.spread(asks()):
            rows = answers.replies if isinstance(answers, _Broken) else dict(enumerate(answers))
            errors += [answers.error] if isinstance(answers, _Broken) else []
            own = {parts[number].start + offset: reply for offset, reply in rows.items()}
            replies |= own
            try:
                if self.on_replies is not None and own:
                    self.on_replies(own)
            except InputError as error:  # such as a budget that is spent
                errors.append(error)
        if errors:
            raise errors[0]
        return [replies[row] for row in range(n_rows)]

    def _parts(self, n_rows: int) -> list[slice]:
        size = self._size or max(n_rows, 1)
        return [slice(start, min(start + size, n_rows)) for start in range(0, n_rows, size)]


def _whole(answer: Any) -> Any:
    if isinstance(answer, _Broken):
        raise answer.error
    return answer
