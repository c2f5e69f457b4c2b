"""The three calls as requests of one row each."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from gecko_kedro.teacher.http import scoring
from gecko_kedro.teacher.http.abilities import (
    LABEL_TOKENS,
    Abilities,
    label_fields,
    request,
    structure_fields,
    top_fields,
)
from gecko_kedro.teacher.http.client import Client
from gecko_kedro.teacher.http.failure import Failure, no_reply
from gecko_kedro.teacher.http.settings import HttpSettings
from gecko_kedro.teacher.http.tokens import LocalTokenizer, Tokenizer, estimated_tokens
from gecko_kedro.teacher.http.wire import Completion, Usage, completion
from gecko_kedro.teacher.protocol import Generation, Prompt, Scored, ScoredLabels, object_schema
from gecko_kedro.teacher.replies import tokens_of

R = TypeVar("R")
_MORE = "Raise teacher.http.max_new_tokens."
_NO_THOUGHT = (
    "Switch thinking off (teacher.http.dialect: auto looks for the switch; extra_body sets it), or "
    "raise teacher.http.thinking_tokens or max_new_tokens."
)


@dataclass(frozen=True)
class Calls:
    """How a server with these abilities is asked; every call raises ``Failure``."""

    settings: HttpSettings
    abilities: Abilities
    tokenizer: Tokenizer | None

    async def generate(
        self, client: Client, prompt: Prompt, *, temperature: float, top_p: float, seed: int
    ) -> Generation:
        """One reply, held to the prompt's schema where the server can."""
        wants_json = prompt.reply_schema is not None
        fields = structure_fields(self.abilities.structure, prompt.reply_schema)
        if not fields and self.abilities.api == "completions" and self.settings.stop:
            fields["stop"] = self.settings.stop
        return Generation(
            *await self._ask(
                client, await self._prompt(client, prompt.text),
                lambda reply: whole_answer(reply, wants_json=wants_json),
                max_tokens=self.settings.max_new_tokens + self._room,
                temperature=temperature, top_p=top_p, seed=seed, **fields,
            )
        )  # fmt: skip

    async def score(self, client: Client, prefix: str, continuation: str) -> Scored:
        """log P(continuation | prefix), on token ids where there is a tokenizer."""
        prompt: str | list[int] = prefix + continuation
        n = 0
        if self.tokenizer is not None:
            tail = await self._continuation_ids(client, continuation)
            prompt, n = await self._prompt_ids(client, prefix) + tail, len(tail)
        by_echo = self.abilities.likelihood == "echo"

        def read(reply: Completion) -> float:
            choice = reply.choices[0]
            if isinstance(prompt, str):
                generated = choice.raw.removeprefix(prompt)
                return scoring.from_echoed_text(choice, continuation, generated=generated)
            if by_echo:
                return scoring.from_echo(choice, len(prompt), n)
            return scoring.from_prompt_logprobs(choice, prompt, n)

        how: dict[str, Any] = {"echo": True, "logprobs": 1} if by_echo else {"prompt_logprobs": 0}
        return Scored(*await self._ask(client, prompt, read, max_tokens=1, temperature=0.0, **how))

    async def labels(self, client: Client, prompt: str, labels: Sequence[str]) -> ScoredLabels:
        """log P(label | prompt) of each, in the way that ``abilities.labels`` names."""
        way = self.abilities.labels
        asked: str | list[int]
        ids: list[int] = []
        if way == "token_ids":
            tokens = [await self._continuation_ids(client, label) for label in labels]
            ids = [one[0] for one in tokens if len(one) == 1]
            if len(set(ids)) < len(labels):
                way = "continuations"
        if way == "continuations":
            scored = [await self.score(client, prompt, label) for label in labels]
            return ScoredLabels(tuple(one.log_likelihood for one in scored), *tokens_of(scored))
        if way == "token_ids":
            asked, fields = await self._prompt_ids(client, prompt), label_fields(ids)
        else:
            asked = await self._prompt(client, prompt)
            fields = self._grade_fields(labels)
            if way == "top_logprobs":
                fields = top_fields(self.settings, self.abilities.api, room=self._room)

        def read(reply: Completion) -> tuple[float, ...]:
            if way == "token_ids":
                return tuple(scoring.from_token_ids(reply.choices[0], ids))
            if way == "top_logprobs":
                return tuple(scoring.from_top_tokens(reply.choices[0], labels))
            return tuple(scoring.from_sampled_label(written_answer(reply), labels))

        return ScoredLabels(*await self._ask(client, asked, read, **fields))

    def _grade_fields(self, labels: Sequence[str]) -> dict[str, Any]:
        enum = [label.strip() for label in labels]
        schema = object_schema(label={"type": "string", "enum": enum})
        structure = structure_fields(self.abilities.structure, schema)
        return {"max_tokens": LABEL_TOKENS + self._room, "temperature": 0.0, **structure}

    @property
    def _room(self) -> int:
        """Tokens for a thought that cannot be kept from coming."""
        return self.settings.thinking_tokens if self.abilities.thinks else 0

    async def _ask(
        self, client: Client, prompt: str | list[int], read: Callable[[Completion], R],
        **fields: Any,
    ) -> tuple[R, int, int]:  # fmt: skip
        """``read`` of the reply to a prompt that the server has read as a whole, and the tokens."""
        fields = dict(self.abilities.switch) | fields
        path, body = request(self.settings, self.abilities.api, prompt, **fields)
        counted = None if isinstance(prompt, str) else len(prompt)
        if isinstance(prompt, str) and isinstance(self.tokenizer, LocalTokenizer):
            counted = len(await self.tokenizer.encode(client, prompt, special=False))

        def checked(data: Any) -> tuple[R, int, int]:
            reply = completion(data)
            if self.settings.check_prompt_tokens and reply.usage is not None:
                told = reply.usage.prompt_tokens
                client.record.lengths.check(prompt, told, counted=counted)
            return read(reply), *_cost(reply, prompt)

        return await client.post(path, body, checked)

    async def _prompt(self, client: Client, text: str) -> str | list[int]:
        """The text itself, or its ids where the chat template has to be applied here."""
        return await self._prompt_ids(client, text) if self.abilities.chat_template else text

    async def _prompt_ids(self, client: Client, text: str) -> list[int]:
        tokenizer = self._known_tokenizer()
        if self.abilities.chat_template:
            return await tokenizer.encode_chat(client, text)
        return await tokenizer.encode(client, text, special=True)

    async def _continuation_ids(self, client: Client, text: str) -> list[int]:
        # The blank separates it from the prompt's last word; a turn of a chat begins without.
        text = text.lstrip() if self.abilities.chat_template else text
        return await self._known_tokenizer().encode(client, text, special=False)

    def _known_tokenizer(self) -> Tokenizer:
        if self.tokenizer is None:
            raise Failure("no tokenizer: set teacher.http.tokenizer", final=True)
        return self.tokenizer


def whole_answer(reply: Completion, *, wants_json: bool) -> str:
    """The answer; raises the ``Failure`` of a refused prompt where there is none or half of one.

    A reply that was cut after the JSON that was asked for is whole.
    """
    answer, choice = written_answer(reply), reply.choices[0]
    if choice.cut and not (wants_json and _has_object(answer)):
        raise no_reply(f"the reply is cut off by the limit of tokens: {answer[-60:]!r}. {_MORE}")
    return answer


def written_answer(reply: Completion) -> str:
    """What follows the thoughts of the reply; raises ``Failure`` where nothing does."""
    choice = reply.choices[0]
    if choice.said.strip():
        return choice.said
    hidden = reply.usage.hidden if reply.usage else 0
    if choice.thought or hidden:
        raise no_reply(f"a thought without an answer after it: {choice.raw[-60:]!r}. {_NO_THOUGHT}")
    if choice.cut:
        raise no_reply(f"an empty reply at the limit of tokens. {_MORE}")
    raise no_reply("an empty reply")


def _has_object(text: str) -> bool:
    try:
        json.JSONDecoder().raw_decode(text[text.index("{") :])
    except (ValueError, RecursionError):
        return False
    return True


def _cost(reply: Completion, prompt: str | list[int]) -> tuple[int, int]:
    """Tokens in and out, as the server counts them; by their length where it does not."""
    usage = reply.usage or Usage()
    told_out = usage.completion_tokens
    if usage.prompt_tokens is not None:
        return usage.prompt_tokens, told_out or 0
    tokens_in = estimated_tokens(prompt) if isinstance(prompt, str) else len(prompt)
    return tokens_in, estimated_tokens(reply.choices[0].raw) if told_out is None else told_out
