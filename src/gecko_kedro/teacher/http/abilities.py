"""What a server can do, by its dialect or by tiny requests; and so the body of each request."""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from gecko_kedro.teacher.http import scoring
from gecko_kedro.teacher.http.client import Client
from gecko_kedro.teacher.http.failure import Failure
from gecko_kedro.teacher.http.settings import HttpSettings
from gecko_kedro.teacher.http.tokens import LocalTokenizer, Tokenizer
from gecko_kedro.teacher.http.wire import Completion, completion
from gecko_kedro.teacher.protocol import object_schema

logger = logging.getLogger(__name__)
LABEL_TOKENS = 16  # enough for {"label": "..."}
Api = Literal["completions", "chat"]
Likelihood = Literal["prompt_logprobs", "echo"]
Labels = Literal["token_ids", "continuations", "top_logprobs", "sampled"]
Structure = Literal["response_format", "structured_outputs", "none"]


_SCHEMA = object_schema(ok={"type": "boolean"})
_PROBE = "Water is"
_CONTINUATION = " wet"
_ONE = "Answer with the digit 1 and nothing else."
_QUESTION = "Is water wet? Answer with yes or no and nothing else."
_QUESTION_TOKENS = 32
# Of vLLM, SGLang and llama.cpp (templates of Qwen, GLM, DeepSeek, Granite); of OpenAI, Ollama and
# gpt-oss, which has no "none"; of OpenRouter.
_SWITCHES: tuple[dict[str, Any], ...] = (
    {"chat_template_kwargs": {"enable_thinking": False, "thinking": False}},
    {"reasoning_effort": "none"},
    {"reasoning_effort": "minimal"},
    {"reasoning": {"enabled": False}},
    {"reasoning_effort": "low"},
)
_STRUCTURES: tuple[Structure, ...] = ("response_format", "structured_outputs")
# Forbidden, over its limit or down says nothing about what the server can do.
_NO_REFUSAL = frozenset({None, 401, 402, 403, 408, 425, 429, 502, 503, 504, 529})


@dataclass(frozen=True)
class Abilities:
    """How each call is made. Replies that come another way may differ: part of the identity.

    ``likelihood``: of a continuation, None where the server gives no prompt log-probabilities.
    ``labels``: by the ids of their tokens, as continuations, among the answer's likely tokens, or
    by the grade that the server writes. ``structure``: how a schema of the reply is sent.
    ``switch``: the fields that keep the model from thinking aloud. ``thinks``: it does anyway.
    """

    api: Api
    likelihood: Likelihood | None
    labels: Labels
    structure: Structure
    chat_template: bool = False
    thinks: bool = False
    switch: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        switch = json.dumps(dict(self.switch))
        return (
            f"{self.api}{' with chat template' if self.chat_template else ''}, query likelihood "
            f"{self.likelihood or 'none'}, labels {self.labels}, structure {self.structure}"
            f"{f', thinking switched off by {switch}' if self.switch else ''}"
            f"{', thinks before it answers' if self.thinks else ''}"
        )


# Of the servers' own documentation; "auto" is what was tried out.
VLLM = Abilities("completions", "prompt_logprobs", "token_ids", "response_format")
OTHERS = Abilities("chat", None, "top_logprobs", "response_format")


def request(
    settings: HttpSettings, api: Api, prompt: str | list[int], **fields: Any
) -> tuple[str, dict[str, Any]]:
    """Path and body of one call; a field that is None is left out."""
    asked: dict[str, Any] = {"model": settings.model, "prompt": prompt}
    path = "/completions"
    if api == "chat":
        del asked["prompt"]
        path, asked["messages"] = "/chat/completions", [{"role": "user", "content": prompt}]
    asked |= fields | settings.extra_body
    return path, {name: value for name, value in asked.items() if value is not None}


def structure_fields(structure: str, schema: Mapping[str, Any] | None) -> dict[str, Any]:
    """The fields that ask for a reply of that JSON schema."""
    if schema is None or structure == "none":
        return {}
    if structure == "structured_outputs":
        return {"structured_outputs": {"json": dict(schema)}}
    wanted = {"name": "reply", "schema": dict(schema), "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": wanted}}


def label_fields(ids: list[int]) -> dict[str, Any]:
    """The fields that ask vLLM for the log-probabilities of these first tokens."""
    return {
        "max_tokens": 1, "temperature": 0.0, "logprobs": 1, "logprob_token_ids": ids,
        "return_tokens_as_token_ids": True,
    }  # fmt: skip


def top_fields(settings: HttpSettings, api: Api, *, room: int) -> dict[str, Any]:
    """The fields that ask for the answer's likely tokens, after a thought of ``room`` tokens."""
    top = settings.top_logprobs
    logprobs = {"logprobs": True, "top_logprobs": top} if api == "chat" else {"logprobs": top}
    return {"max_tokens": room + LABEL_TOKENS if room else 1, "temperature": 0.0, **logprobs}


@dataclass(frozen=True)
class Probe:
    """Asks one server; every method raises ``Failure`` where nothing can be found out."""

    client: Client
    settings: HttpSettings
    tokenizer: Tokenizer | None

    async def abilities(self) -> Abilities:
        """Those of the dialect, or what tiny requests show."""
        dialect, api = self.settings.dialect, self.settings.api
        if dialect == "auto":
            found = await self._tried()
        elif api == "chat":
            found = OTHERS
        else:
            found = VLLM if dialect == "vllm" else OTHERS
            found = replace(found, api=found.api if api == "auto" else api)
        if found.api == "completions" and self.tokenizer is not None:
            found = replace(found, chat_template=await self._has_template(self.tokenizer))
        return found

    async def _tried(self) -> Abilities:
        wanted = self.settings.api
        no_completions = await self._refusal("completions")
        likelihood = None if no_completions else await self._likelihood()
        # A chat endpoint knows the template of an instruct model, but scores no given reply.
        no_chat = None
        api: Api = "completions"
        if wanted == "chat" or (wanted == "auto" and likelihood is None):
            no_chat = await self._refusal("chat")
            api = "completions" if no_chat else "chat"
        if api == "completions" and no_completions:
            raise Failure(no_chat or no_completions, final=True, status=404)
        found = Abilities(api, likelihood, "sampled", "none")
        if api == "chat":
            found = await self._without_thinking(found)
        room = self.settings.thinking_tokens if found.thinks else 0
        return replace(
            found,
            labels=await self._labels(found, room),
            structure=await self._structure(found, room),
        )

    async def _asked(self, api: Api, prompt: str | list[int], **fields: Any) -> Completion | str:
        """The reply, or why the server refuses this kind of request.

        Some refuse with a status of 500: llama.cpp does for ``echo``.
        """
        path, body = request(self.settings, api, prompt, **fields)
        try:
            return await self.client.post(path, body, completion)
        except Failure as failure:
            if failure.status in _NO_REFUSAL:
                raise
            logger.debug("The teacher refuses %s: %s", sorted(body), failure.words)
            return f"{path}: {failure.words}"

    async def _refusal(self, api: Api) -> str | None:
        """Why this API cannot be used, None where it can."""
        if self.settings.api not in {"auto", api}:
            return f"teacher.http.api is {self.settings.api}"
        reply = await self._asked(api, _PROBE, max_tokens=1)
        return reply if isinstance(reply, str) else None

    async def _likelihood(self) -> Likelihood | None:
        prompt: str | list[int] = _PROBE + _CONTINUATION
        if self.tokenizer is not None:
            prompt = await self.tokenizer.encode(self.client, _PROBE + _CONTINUATION, special=True)
            reply = await self._asked("completions", prompt, max_tokens=1, prompt_logprobs=0)
            if isinstance(reply, Completion) and reply.choices[0].prompt_logprobs:
                return "prompt_logprobs"
        reply = await self._asked("completions", prompt, max_tokens=1, echo=True, logprobs=1)
        logprobs = reply.choices[0].logprobs if isinstance(reply, Completion) else None
        # One number is that of the generated token alone: ``echo`` was ignored.
        return "echo" if logprobs and len(logprobs.token_logprobs or []) > 1 else None

    async def _labels(self, found: Abilities, room: int) -> Labels:
        if found.likelihood is not None and self.tokenizer is not None:
            ids = (await self.tokenizer.encode(self.client, _CONTINUATION, special=False))[:1]
            reply = await self._asked("completions", ids, **label_fields(ids))
            if _reads(reply, lambda whole: scoring.from_token_ids(whole.choices[0], ids)):
                return "token_ids"
        if found.likelihood is not None:
            return "continuations"
        fields = dict(found.switch) | top_fields(self.settings, found.api, room=room)
        reply = await self._asked(found.api, _ONE if room else _PROBE, **fields)

        def read(whole: Completion) -> object:
            if room:  # what counts is the place after the thought
                return scoring.from_top_tokens(whole.choices[0], (" 0", " 1"))
            logprobs = whole.choices[0].logprobs
            return logprobs and logprobs.first_top()

        return "top_logprobs" if _reads(reply, read) else "sampled"

    async def _structure(self, found: Abilities, room: int) -> Structure:
        for structure in _STRUCTURES:
            fields = dict(found.switch) | structure_fields(structure, _SCHEMA)
            reply = await self._asked(
                found.api, "Say yes in JSON:", max_tokens=64 + room, temperature=0.0, **fields
            )
            if isinstance(reply, Completion) and _keeps_to_schema(reply.choices[0].said):
                return structure
        logger.warning(
            "The teacher cannot be held to a JSON schema: replies that are no JSON are rejected."
        )
        return "none"

    async def _without_thinking(self, found: Abilities) -> Abilities:
        """``found`` with the first switch that works, or marked as a model that thinks."""
        for switch in ({}, *_SWITCHES):
            if switch.keys() & self.settings.extra_body.keys():
                continue  # set by hand
            reply = await self._asked(
                found.api, _QUESTION, max_tokens=_QUESTION_TOKENS, temperature=0.0, **switch
            )
            if isinstance(reply, Completion) and not _thinks(reply):
                if switch:
                    logger.info("The teacher thinks before it answers; switched off by %s.", switch)
                return replace(found, switch=tuple(switch.items()))
            if not switch and isinstance(reply, str):
                return found
        logger.warning(
            "The teacher thinks before it answers and has no switch that is known: each reply may "
            "take %d tokens more (teacher.http.thinking_tokens). The answer is what follows the "
            "thought.",
            self.settings.thinking_tokens,
        )
        return replace(found, thinks=True)

    async def _has_template(self, tokenizer: Tokenizer) -> bool:
        if self.settings.chat_template is not None:
            return self.settings.chat_template
        if isinstance(tokenizer, LocalTokenizer):
            return tokenizer.has_chat_template
        try:
            return bool(await tokenizer.encode_chat(self.client, _PROBE))
        except Failure as failure:
            if failure.outage or failure.status in {401, 403}:
                raise
            return False


def _reads(reply: Completion | str, read: Callable[[Completion], object]) -> bool:
    """Whether ``read`` finds something in the reply."""
    try:
        return isinstance(reply, Completion) and bool(read(reply))
    except Failure as failure:
        logger.debug("The teacher's labels cannot be read in this way: %s", failure.words)
        return False


def _keeps_to_schema(text: str) -> bool:
    """Whether ``text`` is the object, or its beginning where white space used up the tokens."""
    bare = "".join(text.split())
    wanted = [json.dumps({"ok": value}, separators=(",", ":")) for value in (True, False)]
    return bool(text) and any(whole.startswith(bare) for whole in wanted)


def _thinks(reply: Completion) -> bool:
    """A thought that is shown or counted, or tokens that were used up without a word."""
    choice = reply.choices[0]
    hidden = reply.usage.hidden if reply.usage else 0
    return choice.thought or hidden > 0 or (choice.cut and not choice.raw.strip())
