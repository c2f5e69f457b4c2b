"""What this process has learned about one server; it outlives the batches of requests."""

import logging
import re
import time
from collections.abc import Mapping
from typing import Any

from gecko_kedro.teacher.http.failure import Failure
from gecko_kedro.teacher.http.pacing import Pace

logger = logging.getLogger(__name__)
_FIRST_LINE_S = 1.0
_RENAMED = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
# Without these a reply is still one to the same question.
_DISPENSABLE = frozenset(("temperature", "top_p", "seed", "stop", "response_format", "stream"))
_ABOUT_LENGTH = re.compile(
    r"context[ _](?:length|window|size)|too (?:large|long)|input tokens|longer than", re.IGNORECASE
)
_ADVICE = {
    "logprobs": "Set teacher.http.dialect: auto, which finds another way to read labels.",
    "top_logprobs": "Lower teacher.http.top_logprobs, or set teacher.http.dialect: auto.",
    "model": "Set teacher.http.model; GET <base_url>/models lists the names.",
}
# No tokenizer needs fewer tokens for a text of some length in any language.
_MOST_CHARACTERS_PER_TOKEN = 10
_SHORTEST = 400  # characters: below it a chat template weighs too much
_LEAST_SHARE = 0.9  # of the tokens that were counted here
_FEWEST_TOKENS = 64
# So many prompts of different lengths cannot have one number of tokens, the largest so far.
_PLATEAU = 8
_SPREAD = 1.05
_LONGER = (
    "Give the server a longer context (Ollama: OLLAMA_CONTEXT_LENGTH or num_ctx; llama.cpp: "
    "--ctx-size; vLLM: --max-model-len), or lower max_passage_tokens of synthesize and relabel. If "
    "the server leaves cached tokens out of its count, set teacher.http.check_prompt_tokens: false."
)


class ServerRecord:
    """Whether it has served yet, how fast it serves, what it does not take, what it reads."""

    def __init__(self, *, patience_s: float) -> None:
        self.adaptations, self.pace, self.lengths = Adaptations(), Pace(), PromptLengths()
        self._patience_s = patience_s
        self._served = False
        self._quiet_since: float | None = None
        self._next_line = 0.0

    def answered(self) -> None:
        """A reply came, usable or not."""
        if not self._served and self._next_line:
            logger.info("The teacher's server has started.")
        self._served, self._quiet_since = True, None

    def is_loading(self, failure: Failure) -> bool:
        """Whether to go on waiting for a server that has not served yet; says so in the log."""
        if self._served or not failure.loading or (waited := self._quiet_s()) >= self._patience_s:
            return False
        if waited >= self._next_line:
            self._next_line = max(_FIRST_LINE_S, 2 * waited)
            logger.warning(
                "The teacher's server is not there yet (%s): waited %.0f of at most %.0f s.",
                failure.words, waited, self._patience_s,
            )  # fmt: skip
        return True

    def is_only_slow(self, failure: Failure) -> bool:
        """Whether a limit of the rate is all that is wrong: some replies come in the meantime."""
        return failure.too_fast and self._quiet_s() < self._patience_s

    def _quiet_s(self) -> float:
        """Seconds since the first failure after the last reply."""
        now = time.monotonic()
        if self._quiet_since is None:
            self._quiet_since = now
        return now - self._quiet_since


class Adaptations:
    """Parameters that a server does not take: left out or renamed once, in all later requests."""

    def __init__(self) -> None:
        self._renamed: dict[str, str] = {}
        self._left_out: set[str] = set()

    def apply(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """``body`` as this server takes it."""
        kept = {name: value for name, value in body.items() if name not in self._left_out}
        return {self._renamed.get(name, name): value for name, value in kept.items()}

    def learn(self, sent: Mapping[str, Any], words: str) -> bool:
        """Whether a refusal in these ``words`` taught a better body; said in the log."""
        if _ABOUT_LENGTH.search(words):
            return False
        for name, other in _RENAMED.items():
            if name in sent and other in words and name not in self._renamed.values():
                self._renamed[name] = other
                logger.info("The teacher wants `%s` in place of `%s`: %s", other, name, words)
                return True
        refused = _refused_fields(sent, words) & _DISPENSABLE
        if refused:
            names = ", ".join(sorted(refused))
            logger.warning("The teacher does not take %s, so it is left out: %s", names, words)
        self._left_out |= refused
        return bool(refused)


def advice(sent: Mapping[str, Any], words: str) -> str | None:
    """What to set where the server refuses a field that is needed; None where it names none."""
    named = _refused_fields(sent, words) - {"prompt", "messages"}
    if not named:
        return None
    first = min(named)
    return _ADVICE.get(
        first, f"teacher.http.extra_body: {{{first}: null}} leaves it out; another value sets it."
    )


def _refused_fields(sent: Mapping[str, Any], words: str) -> set[str]:
    """The fields of a body that a refusal names as such; none where it is about a length."""
    if _ABOUT_LENGTH.search(words):
        return set()
    return {name for name in sent if _names(name).search(words)}


def _names(field: str) -> re.Pattern[str]:
    """A mention of the field, not of the word: quoted, or as what is refused."""
    name = re.escape(field)
    return re.compile(
        rf"['\"`]{name}['\"`]"
        rf"|\b(?:parameter|argument|field|option|input)s?:? {name}\b"
        rf"|\b{name} (?:is not|are not|isn't|must|does not|parameter|not)\b"
        rf"|\b(?:unsupported|unknown|unexpected|unrecognized|invalid)[\w ]*:? {name}\b",
        re.IGNORECASE,
    )


class PromptLengths:
    """Whether the server reads whole prompts: what was sent against the tokens that it counts."""

    def __init__(self) -> None:
        self._most = 0
        self._lengths: set[int] = set()

    def check(self, prompt: str | list[int], told: int | None, *, counted: int | None) -> None:
        """Raise a final ``Failure`` where ``told`` tokens cannot be the whole prompt.

        ``counted`` are its tokens by the model's own tokenizer, None where nobody can count.
        """
        length = len(prompt)
        if not told:
            return
        if counted is not None:
            if counted >= _FEWEST_TOKENS and told < _LEAST_SHARE * counted:
                raise _cut(told, f"{counted} tokens")
            return
        if length > _SHORTEST and told * _MOST_CHARACTERS_PER_TOKEN < length:
            raise _cut(told, f"{length} characters")
        if told > self._most:
            self._most, self._lengths = told, set()
        if told < self._most or told < _FEWEST_TOKENS:
            return
        self._lengths.add(length)
        shortest, longest = min(self._lengths), max(self._lengths)
        if len(self._lengths) >= _PLATEAU and longest > _SPREAD * shortest:
            raise _cut(told, f"{shortest} to {longest} characters", at=told)


def _cut(told: int, sent: str, *, at: int | None = None) -> Failure:
    return Failure(
        f"the server read {told} tokens of a prompt of {sent}: it cuts prompts without a word",
        final=True, fix=_LONGER, cut_at=at,
    )  # fmt: skip
