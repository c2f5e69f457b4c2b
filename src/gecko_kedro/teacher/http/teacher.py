"""A teacher behind any server that speaks the OpenAI API."""

import hashlib
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import cached_property
from typing import Any, TypeVar

from gecko_kedro.base.errors import InputError, Words
from gecko_kedro.teacher.http import scoring
from gecko_kedro.teacher.http.abilities import Probe
from gecko_kedro.teacher.http.calls import Calls
from gecko_kedro.teacher.http.client import Client, Pool
from gecko_kedro.teacher.http.failure import Failure, Key
from gecko_kedro.teacher.http.record import ServerRecord
from gecko_kedro.teacher.http.settings import NO_THINKING, HttpSettings
from gecko_kedro.teacher.http.tokens import LocalTokenizer, estimated_cut, find_tokenizer
from gecko_kedro.teacher.protocol import (
    Generation,
    OnReplies,
    Prompt,
    Refused,
    Scored,
    ScoredLabels,
    TeacherError,
)

logger = logging.getLogger(__name__)
R = TypeVar("R")
_TRIES_WHILE_PROBING = 2


class HttpTeacher:
    """``concurrency`` requests in flight, retried, behind a circuit breaker; order is kept.

    ``on_replies`` is told each reply as soon as it is there: the response store keeps it at once,
    so that a killed run repeats the requests in flight and nothing else. A prompt that the server
    refuses (HTTP 400, 413, 422, a content filter) is told as ``Refused``. Token counts are the
    server's. Not for two threads at once.
    """

    def __init__(self, settings: HttpSettings) -> None:
        if settings.model is None:
            raise InputError(
                "teacher.http.model", expected="the name of the model on the server", got=None,
                fix="Set it; GET <base_url>/models lists the names.",
            )  # fmt: skip
        self.on_replies: OnReplies | None = None
        self._settings = settings
        self._key = Key.of(settings)
        self._record = ServerRecord(patience_s=settings.wait_for_server_s)

    @cached_property
    def identity(self) -> str:
        """Model, revision, how the calls are made, and a hash of what else replies depend on."""
        settings, tokenizer = self._settings, self._calls.tokenizer
        rest = [
            settings.max_new_tokens, settings.stop, settings.top_logprobs, settings.extra_body,
            tokenizer.fingerprint if isinstance(tokenizer, LocalTokenizer) else None,
        ]  # fmt: skip
        rest += [settings.thinking_tokens] if self._calls.abilities.thinks else []
        if settings.chat_template_kwargs != NO_THINKING:
            rest.append(settings.chat_template_kwargs)
        digest = hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()[:12]
        return (
            f"http {settings.model}, revision {settings.revision or 'not stated'}, "
            f"{self._calls.abilities}, settings {digest}"
        )

    def truncate(self, texts: Sequence[str], max_tokens: int) -> list[str]:
        """As ``Teacher.truncate``; three characters count as a token where nobody can count."""
        tokenizer = self._calls.tokenizer
        if tokenizer is None:
            return [estimated_cut(text, max_tokens) for text in texts]
        return self._run(
            "truncate", len(texts), lambda client, i: tokenizer.cut(client, texts[i], max_tokens)
        )

    def generate(
        self, prompts: Sequence[Prompt], *, temperature: float, top_p: float, seed: int
    ) -> list[Generation | Refused]:
        """As ``Teacher.generate``; a reply is as long as ``max_new_tokens`` at most."""
        calls = self._calls
        return self._ask(
            "generate", len(prompts),
            lambda client, row: calls.generate(
                client, prompts[row], temperature=temperature, top_p=top_p, seed=seed
            ),
        )  # fmt: skip

    def query_log_likelihood(
        self, prefixes: Sequence[Prompt], continuations: Sequence[str]
    ) -> list[Scored | Refused]:
        """As ``Teacher.query_log_likelihood``; refused without prompt log-probabilities."""
        calls = self._calls
        if calls.abilities.likelihood is None:
            raise InputError(
                f"teacher {self._settings.model!r}, query likelihood",
                expected="a server that gives log-probabilities of the prompt (echo with logprobs, "
                "or vLLM's prompt_logprobs, on /completions)",
                got=Words("no such server"),
                fix="Set relabel.rankers: [relevance], or use a server such as vLLM.",
            )

        if len(prefixes) != len(continuations):
            raise ValueError("as many continuations as prefixes are needed")
        return self._ask(
            "query_log_likelihood", len(prefixes),
            lambda client, row: calls.score(client, prefixes[row].text, continuations[row]),
        )  # fmt: skip

    def label_log_likelihood(
        self, prompts: Sequence[Prompt], labels: Sequence[str]
    ) -> list[ScoredLabels | Refused]:
        """As ``Teacher.label_log_likelihood``, in the best of four ways that the server has.

        By the ids of labels that are one token each; else as continuations, a request a label; else
        among the answer's likely first tokens; else from the grade that it writes.
        """
        calls = self._calls
        if calls.abilities.labels == "top_logprobs" and scoring.share_a_beginning(labels):
            raise InputError(
                f"teacher {self._settings.model!r}, labels",
                expected="labels that differ in their first character, since this server gives "
                "log-probabilities of the answer's first token only",
                got=list(labels),
                fix="Use other labels in the prompt `relevance`, such as 0 to 3.",
            )

        return self._ask(
            "label_log_likelihood", len(prompts),
            lambda client, row: calls.labels(client, prompts[row].text, labels),
        )  # fmt: skip

    @cached_property
    def _calls(self) -> Calls:
        tries = min(self._settings.max_retries, _TRIES_WHILE_PROBING)
        settings = self._settings.model_copy(update={"max_retries": tries})
        name = settings.tokenizer
        local = None if name is None else LocalTokenizer(name, settings.chat_template_kwargs)

        async def find(client: Client, row: int) -> Calls:
            tokenizer = await find_tokenizer(client, settings, local)
            abilities = await Probe(client, settings, tokenizer).abilities()
            return Calls(self._settings, abilities, tokenizer)

        found = self._run("start", 1, find, settings=settings)[0]
        logger.info("teacher %s at %s: %s", settings.model, settings.base_url, found.abilities)
        if found.abilities.labels == "sampled":
            logger.warning(
                "The teacher gives no log-probabilities: labels are scored by the grade it writes."
            )
        if found.tokenizer is None:
            logger.warning(
                "The teacher has no tokenizer that can be asked: three characters count as a "
                "token. Set teacher.http.tokenizer to count exactly."
            )
        return found

    def _ask(
        self, kind: str, rows: int, answer: Callable[[Client, int], Awaitable[R]]
    ) -> list[R | Refused]:
        async def reply(client: Client, row: int) -> R | Refused:
            try:
                return await answer(client, row)
            except Failure as failure:
                if not failure.refused:
                    raise
                return Refused(failure.words)

        def tell(row: int, replied: Any) -> None:
            if self.on_replies is not None:
                self.on_replies({row: replied})

        return self._run(kind, rows, reply, on_reply=tell)

    def _run(
        self,
        kind: str,
        rows: int,
        answer: Callable[[Client, int], Awaitable[R]],
        *,
        on_reply: Callable[[int, Any], None] | None = None,
        settings: HttpSettings | None = None,
    ) -> list[R]:
        pool = Pool(
            settings or self._settings, self._key, self._record, answer,
            explain=lambda row, failure: self._explain(kind, row, failure), on_reply=on_reply,
        )  # fmt: skip
        return pool.run(rows)

    def _explain(self, kind: str, row: int, failure: Failure) -> TeacherError:
        settings = self._settings
        if failure.status in {401, 403}:
            name = settings.api_key_env or "(set teacher.http.api_key_env)"
            fix = (
                f"Check the key in the environment variable {name}." if self._key else
                f"There is no key: export {name}, or put `teacher: {{api_key: ...}}` in "
                "conf/local/credentials.yml."
            )  # fmt: skip
        elif failure.status in {400, 404, 413, 422}:
            fix = "Check teacher.http.model and api, and the length of the prompt."
        elif failure.status == 402 or (failure.status == 429 and failure.final):
            fix = "Wait until the quota is there again, or pay for more."
        else:
            fix = "Check that the server runs." if failure.outage else "Check the server."
        error = TeacherError(
            f"teacher {settings.model!r} at {settings.base_url}, {kind}, prompt {row}",
            expected="a usable reply",
            got=Words(f"no usable reply: {failure.words}"),
            fix=f"{failure.fix or fix} What was answered before is stored: run again to go on from "
            "there.",
        )
        error.cut_at = failure.cut_at
        return error
