"""Finds out whether a chat model thinks before it answers, and how to switch that off."""

import logging
from dataclasses import replace
from typing import Any

from gecko_kedro.teacher.http.abilities import Abilities, request
from gecko_kedro.teacher.http.client import Client
from gecko_kedro.teacher.http.failure import Failure
from gecko_kedro.teacher.http.settings import HttpSettings
from gecko_kedro.teacher.http.wire import Completion, completion

logger = logging.getLogger(__name__)
# Of vLLM, SGLang and llama.cpp (templates of Qwen, GLM, DeepSeek, Granite); of OpenAI, Ollama and
# gpt-oss, which has no "none"; of OpenRouter.
_SWITCHES: tuple[dict[str, Any], ...] = (
    {"chat_template_kwargs": {"enable_thinking": False, "thinking": False}},
    {"reasoning_effort": "none"},
    {"reasoning_effort": "minimal"},
    {"reasoning": {"enabled": False}},
    {"reasoning_effort": "low"},
)
_QUESTION = "Is water wet? Answer with yes or no and nothing else."
_TOKENS = 32
# Forbidden, over its limit or down says nothing about what the server can do.
_NO_REFUSAL = frozenset({401, 402, 403, 408, 425, 429, 502, 503, 504, 529})


async def without_thinking(client: Client, settings: HttpSettings, found: Abilities) -> Abilities:
    """``found`` with the first switch that works, or marked as a model that thinks."""
    reply = await _asked(client, settings, found)
    if reply is None or not _thinks(reply):
        return found
    for switch in _SWITCHES:
        if switch.keys() & settings.extra_body.keys():
            continue  # set by hand
        reply = await _asked(client, settings, found, **switch)
        if reply is not None and not _thinks(reply):
            logger.info("The teacher thinks before it answers; switched off by %s.", switch)
            return replace(found, switch=tuple(switch.items()))
    logger.warning(
        "The teacher thinks before it answers and has no switch that is known: each reply may take "
        "%d tokens more (teacher.http.thinking_tokens). The answer is what follows the thought.",
        settings.thinking_tokens,
    )
    return replace(found, thinks=True)


async def attempt(client: Client, path: str, body: dict[str, Any]) -> Completion | None:
    """The reply, or None where the server refuses this kind of request.

    Some refuse with a status of 500: llama.cpp does for ``echo``.
    """
    try:
        return await client.post(path, body, completion)
    except Failure as failure:
        if is_no_refusal(failure):
            raise
        logger.debug("The teacher refuses %s: %s", sorted(body), failure.words)
        return None


def is_no_refusal(failure: Failure) -> bool:
    """Whether a failure says nothing about what the server can do."""
    return failure.status is None or failure.status in _NO_REFUSAL


async def _asked(
    client: Client, settings: HttpSettings, found: Abilities, **switch: Any
) -> Completion | None:
    path, body = request(
        settings, found.api, _QUESTION, max_tokens=_TOKENS, temperature=0.0, **switch
    )
    return await attempt(client, path, body)


def _thinks(reply: Completion) -> bool:
    """A thought that is shown or counted, or tokens that were used up without a word."""
    choice = reply.choices[0]
    hidden = reply.usage.hidden if reply.usage else 0
    return choice.thought or hidden > 0 or (choice.cut and not choice.raw.strip())
