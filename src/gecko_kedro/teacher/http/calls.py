"""The three calls as requests of one row each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gecko_kedro.teacher.http import scoring
from gecko_kedro.teacher.http.abilities import (
    Abilities,
    label_fields,
    request,
    structure_fields,
    top_fields,
)
from gecko_kedro.teacher.http.client import Client
from gecko_kedro.teacher.http.failure import Failure
from gecko_kedro.teacher.http.settings import HttpSettings
from gecko_kedro.teacher.http.tokens import Tokenizer, estimated_tokens
from gecko_kedro.teacher.http.wire import Completion, completion
from gecko_kedro.teacher.protocol import Generation, Prompt, Scored, ScoredLabels

_LABEL_TOKENS = 16  # enough for {"label": "..."}


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
        fields = structure_fields(self.abilities.structure, prompt.reply_schema)
        if not fields and self.abilities.api == "completions" and self.settings.stop:
            fields["stop"] = self.settings.stop
        path, body = await self._request(
            client, prompt.text, max_tokens=self.settings.max_new_tokens, temperature=temperature,
            top_p=top_p, seed=seed, **fields,
        )  # fmt: skip
        reply = await client.post(path, body, completion)
        return Generation(reply.choices[0].said, *_cost(reply, body))

    async def score(self, client: Client, prefix: str, continuation: str) -> Scored:
        """log P(continuation | prefix), on token ids where there is a tokenizer."""
        prompt: str | list[int] = prefix + continuation
        n = 0
        if self.tokenizer is not None:
            tail = await self._continuation_ids(client, continuation)
            prompt, n = await self._prompt_ids(client, prefix) + tail, len(tail)
        by_echo = self.abilities.likelihood == "echo"
        how: dict[str, Any] = {"echo": True, "logprobs": 1} if by_echo else {"prompt_logprobs": 0}
        path, body = request(
            self.settings, "completions", prompt, max_tokens=1, temperature=0.0, **how
        )

        def read(data: Any) -> Scored:
            reply = completion(data)
            choice = reply.choices[0]
            if isinstance(prompt, str):
                generated = choice.said.removeprefix(prompt)
                number = scoring.from_echoed_text(choice, continuation, generated=generated)
            elif by_echo:
                number = scoring.from_echo(choice, len(prompt), n)
            else:
                number = scoring.from_prompt_logprobs(choice, prompt, n)
            return Scored(number, *_cost(reply, body))

        return await client.post(path, body, read)

    async def labels(self, client: Client, prompt: str, labels: Sequence[str]) -> ScoredLabels:
        """log P(label | prompt) of each, in the way that ``abilities.labels`` names."""
        way = self.abilities.labels
        if way == "token_ids":
            ids = [await self._continuation_ids(client, label) for label in labels]
            if all(len(one) == 1 for one in ids) and len({one[0] for one in ids}) == len(ids):
                return await self._by_ids(client, prompt, [one[0] for one in ids])
        if way in {"token_ids", "continuations"}:
            scored = [await self.score(client, prompt, label) for label in labels]
            return ScoredLabels(
                tuple(one.log_likelihood for one in scored),
                sum(one.prompt_tokens for one in scored),
                sum(one.completion_tokens for one in scored),
            )
        if way == "top_logprobs":
            return await self._by_top_tokens(client, prompt, labels)
        return await self._by_grade(client, prompt, labels)

    async def _by_ids(self, client: Client, prompt: str, ids: list[int]) -> ScoredLabels:
        path, body = request(
            self.settings, "completions", await self._prompt_ids(client, prompt),
            **label_fields(ids),
        )  # fmt: skip
        return await _scored(
            client, path, body, lambda reply: scoring.from_token_ids(reply.choices[0], ids)
        )

    async def _by_top_tokens(
        self, client: Client, prompt: str, labels: Sequence[str]
    ) -> ScoredLabels:
        fields = top_fields(self.settings, self.abilities.api)
        path, body = await self._request(client, prompt, **fields)
        return await _scored(
            client, path, body, lambda reply: scoring.from_top_tokens(reply.choices[0], labels)
        )

    async def _by_grade(self, client: Client, prompt: str, labels: Sequence[str]) -> ScoredLabels:
        schema = {
            "type": "object",
            "properties": {"label": {"type": "string", "enum": [one.strip() for one in labels]}},
            "required": ["label"],
            "additionalProperties": False,
        }
        fields = structure_fields(self.abilities.structure, schema)
        path, body = await self._request(
            client, prompt, max_tokens=_LABEL_TOKENS, temperature=0.0, **fields
        )
        return await _scored(
            client, path, body,
            lambda reply: scoring.from_sampled_label(reply.choices[0].said, labels),
        )  # fmt: skip

    async def _request(
        self, client: Client, text: str, **fields: Any
    ) -> tuple[str, dict[str, Any]]:
        """The text itself, or its ids where the chat template has to be applied here."""
        template = self.abilities.chat_template
        prompt = await self._prompt_ids(client, text) if template else text
        return request(self.settings, self.abilities.api, prompt, **fields)

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


async def _scored(
    client: Client,
    path: str,
    body: Mapping[str, Any],
    numbers: Callable[[Completion], list[float]],
) -> ScoredLabels:
    def read(data: Any) -> ScoredLabels:
        reply = completion(data)
        return ScoredLabels(tuple(numbers(reply)), *_cost(reply, body))

    return await client.post(path, body, read)


def _cost(reply: Completion, body: Mapping[str, Any]) -> tuple[int, int]:
    """Tokens in and out, as the server counts them; by their length where it does not."""
    if reply.usage is not None:
        return reply.usage.prompt_tokens, reply.usage.completion_tokens or 0
    prompt = body["prompt"] if "prompt" in body else body["messages"][0]["content"]
    tokens_in = estimated_tokens(prompt) if isinstance(prompt, str) else len(prompt)
    return tokens_in, estimated_tokens(reply.choices[0].said)
