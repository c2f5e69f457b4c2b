"""A teacher in front of its store: it asks only for what is not there yet."""

import hashlib
import json
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from gecko_kedro.errors import InputError
from gecko_kedro.events import emit
from gecko_kedro.teacher.protocol import Generation, Prompt, Scored, ScoredLabels, Teacher
from gecko_kedro.teacher.store import ResponseStore
from gecko_kedro.teacher.usage import Usage

logger = logging.getLogger(__name__)
Reply = TypeVar("Reply", Generation, Scored, ScoredLabels)


class StoredTeacher:
    """The same protocol as the teacher that it wraps, with a memory.

    A key is the SHA-256 of the teacher's identity, the kind of call, the prompt's version, text,
    fields and reply schema, the decoding parameters, and the continuation or the labels. Missing
    replies are asked for ``batch_size`` at a time and committed batch by batch: a run that is
    killed repeats at most one batch. The same call twice in a batch is paid for once. ``usage``
    counts.
    """

    def __init__(self, teacher: Teacher, store: ResponseStore, *, batch_size: int) -> None:
        self._teacher = teacher
        self._store = store
        self._batch_size = batch_size
        self.usage = Usage()

    @property
    def identity(self) -> str:
        """That of the teacher behind."""
        return self._teacher.identity

    def truncate(self, texts: Sequence[str], max_tokens: int) -> list[str]:
        """As ``Teacher.truncate``; nothing is stored."""
        return self._teacher.truncate(texts, max_tokens)

    def generate(
        self, prompts: Sequence[Prompt], *, temperature: float, top_p: float, seed: int
    ) -> list[Generation]:
        """As ``Teacher.generate``."""
        decoding = f"temperature {temperature!r}, top_p {top_p!r}, seed {seed}"
        return self._answer(
            "generate",
            [self._key("generate", prompt, decoding) for prompt in prompts],
            lambda rows: self._teacher.generate(
                [prompts[row] for row in rows], temperature=temperature, top_p=top_p, seed=seed
            ),
            Generation,
        )

    def query_log_likelihood(
        self, prefixes: Sequence[Prompt], continuations: Sequence[str]
    ) -> list[Scored]:
        """As ``Teacher.query_log_likelihood``."""
        kind = "query_log_likelihood"
        return self._answer(
            kind,
            [
                self._key(kind, prefix, continuation)
                for prefix, continuation in zip(prefixes, continuations, strict=True)
            ],
            lambda rows: self._teacher.query_log_likelihood(
                [prefixes[row] for row in rows], [continuations[row] for row in rows]
            ),
            Scored,
        )

    def label_log_likelihood(
        self, prompts: Sequence[Prompt], labels: Sequence[str]
    ) -> list[ScoredLabels]:
        """As ``Teacher.label_log_likelihood``."""
        kind = "label_log_likelihood"
        replies = self._answer(
            kind,
            [self._key(kind, prompt, *labels) for prompt in prompts],
            lambda rows: self._teacher.label_log_likelihood([prompts[row] for row in rows], labels),
            ScoredLabels,
        )
        if any(len(reply.log_likelihoods) != len(labels) for reply in replies):
            raise _bad_reply(self.identity, kind, f"no {len(labels)} log-likelihoods")
        return replies

    def report(self, stage: str) -> None:
        """Log what ``stage`` used, and emit it as the event ``<stage>_teacher``."""
        for kind in ("generate", "query_log_likelihood", "label_log_likelihood"):
            record = self.usage.of(kind)
            if record.calls or record.hits:
                logger.info(
                    "%s: %s: %d calls, %d from the store, %d + %d tokens, %.1f s (%s)",
                    stage, kind, record.calls, record.hits, record.prompt_tokens,
                    record.completion_tokens, record.seconds, self.identity,
                )  # fmt: skip
        emit(f"{stage}_teacher", 0, self.usage.as_metrics())

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def _key(self, kind: str, prompt: Prompt, *rest: str) -> bytes:
        fields = [part for item in sorted(prompt.fields.items()) for part in item]
        parts = [self.identity, kind, prompt.version, prompt.text, *fields, *rest]
        if prompt.reply_schema is not None:
            parts.append(json.dumps(prompt.reply_schema, sort_keys=True))
        # With its length before each part, no two lists of parts make the same bytes.
        joined = "".join([f"{len(part)}:{part}" for part in parts])
        return hashlib.sha256(joined.encode("utf-8", "surrogatepass")).digest()

    def _answer(
        self,
        kind: str,
        keys: list[bytes],
        ask: Callable[[list[int]], list[Reply]],
        reply_type: type[Reply],
    ) -> list[Reply]:
        stored = self._store.get(keys)
        replies = {key: _decode(value, reply_type, key) for key, value in stored.items()}
        missing = list({key: row for row, key in enumerate(keys) if key not in replies}.items())
        record = self.usage.of(kind)
        record.hits += len(keys) - len(missing)
        for start in range(0, len(missing), self._batch_size):
            batch = missing[start : start + self._batch_size]
            started = time.perf_counter()
            answers = ask([row for _, row in batch])
            record.seconds += time.perf_counter() - started
            if len(answers) != len(batch):
                raise _bad_reply(self.identity, kind, f"{len(answers)} replies to {len(batch)}")
            fresh = {key: answer for (key, _), answer in zip(batch, answers, strict=True)}
            self._store.put({key: _encode(answer, self.identity) for key, answer in fresh.items()})
            replies |= fresh
            record.calls += len(batch)
            record.prompt_tokens += sum(answer.prompt_tokens for answer in answers)
            record.completion_tokens += sum(answer.completion_tokens for answer in answers)
        return [replies[key] for key in keys]


def _encode(reply: Generation | Scored | ScoredLabels, identity: str) -> list[object]:
    if isinstance(reply, Generation):
        value: object = reply.text
    elif isinstance(reply, Scored):
        value = _finite(reply.log_likelihood, identity)
    else:
        value = [_finite(number, identity) for number in reply.log_likelihoods]
    return [value, reply.prompt_tokens, reply.completion_tokens]


def _decode(stored: object, reply_type: type[Reply], key: bytes) -> Reply:
    match stored:
        case [value, int(prompt_tokens), int(completion_tokens)]:
            pass
        case _:
            raise _bad_reply("response store", key.hex(), stored)
    made: Mapping[type, Callable[[Any], Any]] = {
        Generation: str,
        Scored: float,
        ScoredLabels: tuple,
    }
    return reply_type(made[reply_type](value), prompt_tokens, completion_tokens)


def _finite(number: float, identity: str) -> float:
    if not math.isfinite(number):
        raise _bad_reply(identity, "log-likelihood", number)
    return number


def _bad_reply(identity: str, kind: str, got: object) -> InputError:
    return InputError(
        f"teacher {identity!r}, {kind}",
        expected="one usable reply to each prompt, with finite log-likelihoods",
        got=got,
        fix="Check the backend; what was answered before is stored and is not asked again.",
    )
