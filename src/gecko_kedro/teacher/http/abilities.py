"""How each call is made of a server, and the body of each request."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gecko_kedro.teacher.http.settings import HttpSettings

LABEL_TOKENS = 16  # enough for {"label": "..."}
Api = Literal["completions", "chat"]
Likelihood = Literal["prompt_logprobs", "echo"]
Labels = Literal["token_ids", "continuations", "top_logprobs", "sampled"]
Structure = Literal["response_format", "structured_outputs", "none"]


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
