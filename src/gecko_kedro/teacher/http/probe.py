"""Finds out what a server can do, by its dialect or by tiny requests."""

import json
import logging
from dataclasses import replace
from typing import Literal

from gecko_kedro.teacher.http import scoring
from gecko_kedro.teacher.http.abilities import (
    DIALECTS,
    Abilities,
    label_fields,
    request,
    structure_fields,
    top_fields,
)
from gecko_kedro.teacher.http.client import Client
from gecko_kedro.teacher.http.failure import Failure
from gecko_kedro.teacher.http.settings import HttpSettings
from gecko_kedro.teacher.http.switches import attempt, is_no_refusal, without_thinking
from gecko_kedro.teacher.http.tokens import (
    LocalTokenizer,
    ServerTokenizer,
    Tokenizer,
    server_tokenizer,
)
from gecko_kedro.teacher.http.wire import Completion, completion

logger = logging.getLogger(__name__)
_SCHEMA = {
    "type": "object",
    "properties": {"ok": {"type": "boolean"}},
    "required": ["ok"],
    "additionalProperties": False,
}
_PROBE = "Water is"
_CONTINUATION = " wet"
_ONE = "Answer with the digit 1 and nothing else."


async def find_tokenizer(
    client: Client, settings: HttpSettings, local: LocalTokenizer | None
) -> Tokenizer | None:
    """The local one, else the server's own, else None."""
    if local is not None or settings.dialect in {"tgi", "openai"}:
        return local
    model = settings.model or ""
    if settings.dialect in {"vllm", "llama.cpp"}:
        return ServerTokenizer(settings.dialect, model, settings.chat_template_kwargs)
    return await server_tokenizer(client, model, settings.chat_template_kwargs)


async def find_abilities(
    client: Client, settings: HttpSettings, tokenizer: Tokenizer | None
) -> Abilities:
    """Those of the dialect, or what tiny requests show; raises ``Failure`` where none works."""
    if settings.dialect == "auto":
        found = await _tried(client, settings, tokenizer)
    else:
        found = DIALECTS[settings.dialect]
        if settings.api == "chat":
            labels = "top_logprobs" if found.labels == "token_ids" else found.labels
            found = replace(found, api="chat", likelihood=None, labels=labels)
        elif settings.api == "completions":
            found = replace(found, api="completions")
    if found.api == "completions" and tokenizer is not None:
        template = await _has_template(client, settings, tokenizer)
        found = replace(found, chat_template=template)
    return found


async def _tried(client: Client, settings: HttpSettings, tokenizer: Tokenizer | None) -> Abilities:
    no_completions = await _refusal(client, settings, "completions")
    likelihood = None if no_completions else await _likelihood(client, settings, tokenizer)
    # A chat endpoint knows the template of an instruct model, but scores no given reply.
    no_chat = None
    api: Literal["completions", "chat"] = "completions"
    if settings.api == "chat" or (settings.api == "auto" and likelihood is None):
        no_chat = await _refusal(client, settings, "chat")
        api = "completions" if no_chat else "chat"
    if api == "completions" and no_completions:
        raise Failure(no_chat or no_completions, final=True, status=404)
    found = Abilities(api, likelihood, "sampled", "none")
    if api == "chat":
        found = await without_thinking(client, settings, found)
    return replace(
        found,
        labels=await _labels(client, settings, found, tokenizer),
        structure=await _structure(client, settings, found),
    )


async def _refusal(client: Client, settings: HttpSettings, api: str) -> str | None:
    """Why this API cannot be used, None where it can."""
    if settings.api not in {"auto", api}:
        return f"teacher.http.api is {settings.api}"
    path, body = request(settings, api, _PROBE, max_tokens=1)
    try:
        await client.post(path, body, completion)
    except Failure as failure:
        if is_no_refusal(failure):
            raise
        return f"{path}: {failure.words}"
    return None


async def _likelihood(
    client: Client, settings: HttpSettings, tokenizer: Tokenizer | None
) -> Literal["prompt_logprobs", "echo"] | None:
    prompt: str | list[int] = _PROBE + _CONTINUATION
    if tokenizer is not None:
        prompt = await tokenizer.encode(client, _PROBE + _CONTINUATION, special=True)
        path, body = request(settings, "completions", prompt, max_tokens=1, prompt_logprobs=0)
        reply = await attempt(client, path, body)
        if reply is not None and reply.choices[0].prompt_logprobs:
            return "prompt_logprobs"
    path, body = request(settings, "completions", prompt, max_tokens=1, echo=True, logprobs=1)
    reply = await attempt(client, path, body)
    logprobs = reply.choices[0].logprobs if reply is not None else None
    # One number is that of the generated token alone: ``echo`` was ignored.
    return "echo" if logprobs and len(logprobs.token_logprobs or []) > 1 else None


async def _labels(
    client: Client, settings: HttpSettings, found: Abilities, tokenizer: Tokenizer | None
) -> Literal["token_ids", "continuations", "top_logprobs", "sampled"]:
    if found.likelihood is not None and tokenizer is not None:
        ids = (await tokenizer.encode(client, _CONTINUATION, special=False))[:1]
        path, body = request(settings, "completions", ids, **label_fields(ids))
        reply = await attempt(client, path, body)
        if reply is not None:
            try:
                scoring.from_token_ids(reply.choices[0], ids)
            except Failure as failure:
                logger.debug("The teacher ignores logprob_token_ids: %s", failure.words)
            else:
                return "token_ids"
    if found.likelihood is not None:
        return "continuations"
    room = settings.thinking_tokens if found.thinks else 0
    fields = dict(found.switch) | top_fields(settings, found.api, room=room)
    reply = await attempt(client, *request(settings, found.api, _ONE if room else _PROBE, **fields))
    if reply is None:
        return "sampled"
    if room:  # what counts is the place after the thought
        return "top_logprobs" if _reads_label(reply) else "sampled"
    logprobs = reply.choices[0].logprobs
    return "top_logprobs" if logprobs and logprobs.first_top() else "sampled"


def _reads_label(reply: Completion) -> bool:
    try:
        scoring.from_top_tokens(reply.choices[0], (" 0", " 1"))
    except Failure as failure:
        logger.debug("The teacher's labels cannot be read after its thought: %s", failure.words)
        return False
    return True


async def _structure(
    client: Client, settings: HttpSettings, found: Abilities
) -> Literal["response_format", "structured_outputs", "none"]:
    structures: tuple[Literal["response_format", "structured_outputs"], ...] = (
        "response_format", "structured_outputs",
    )  # fmt: skip
    for structure in structures:
        fields = structure_fields(structure, _SCHEMA)
        room = settings.thinking_tokens if found.thinks else 0
        path, body = request(settings, found.api, "Say yes in JSON:", max_tokens=64 + room,
                             temperature=0.0, **dict(found.switch), **fields)  # fmt: skip
        reply = await attempt(client, path, body)
        if reply is not None and _keeps_to_schema(reply.choices[0].said):
            return structure
    logger.warning(
        "The teacher cannot be held to a JSON schema: replies that are no JSON are rejected."
    )
    return "none"


def _keeps_to_schema(text: str) -> bool:
    """Whether ``text`` is the object, or its beginning where white space used up the tokens."""
    bare = "".join(text.split())
    wanted = [json.dumps({"ok": value}, separators=(",", ":")) for value in (True, False)]
    return bool(text) and any(whole.startswith(bare) for whole in wanted)


async def _has_template(client: Client, settings: HttpSettings, tokenizer: Tokenizer) -> bool:
    if settings.chat_template is not None:
        return settings.chat_template
    if isinstance(tokenizer, LocalTokenizer):
        return tokenizer.has_chat_template
    try:
        return bool(await tokenizer.encode_chat(client, _PROBE))
    except Failure as failure:
        if failure.outage or failure.status in {401, 403}:
            raise
        return False
