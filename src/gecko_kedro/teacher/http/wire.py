"""The server's replies, as far as they are read (OpenAI's API and vLLM's additions to it)."""

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from gecko_kedro.teacher.http.failure import Failure, unusable


class _Wire(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Usage(_Wire):
    """Tokens that the server counted."""

    prompt_tokens: int
    completion_tokens: int | None = None


class TokenLogprob(_Wire):
    """One token and its natural-log probability; ``top_logprobs`` are likely ones in its place."""

    token: str = ""
    logprob: float
    top_logprobs: list["TokenLogprob"] = []


class Logprobs(_Wire):
    """Both shapes: parallel lists (/completions) and ``content`` (/chat/completions, llama.cpp)."""

    tokens: list[str] | None = None
    token_logprobs: list[float | None] | None = None
    top_logprobs: list[dict[str, float] | None] | None = None
    content: list[TokenLogprob] | None = None

    def first_top(self) -> dict[str, float]:
        """The likely first tokens of the reply; empty where the server gave none."""
        if self.content:
            return {one.token: one.logprob for one in self.content[0].top_logprobs}
        return (self.top_logprobs[0] or {}) if self.top_logprobs else {}


class Message(_Wire):
    """What the assistant of a chat says."""

    content: str | None = None


class Choice(_Wire):
    """One reply."""

    text: str | None = None
    message: Message | None = None
    logprobs: Logprobs | None = None
    prompt_logprobs: list[dict[str, TokenLogprob] | None] | None = None
    finish_reason: str | None = None

    @property
    def said(self) -> str:
        """Its text, empty where there is none."""
        return (self.message.content if self.message else self.text) or ""


class Completion(_Wire):
    """The envelope of both APIs."""

    choices: list[Choice]
    usage: Usage | None = None


class Tokens(_Wire):
    """Of /tokenize: vLLM and llama.cpp."""

    tokens: list[int]


class Detokenized(_Wire):
    """Of /detokenize: ``prompt`` by vLLM, ``content`` by llama.cpp."""

    prompt: str | None = None
    content: str | None = None


M = TypeVar("M", bound=_Wire)


def parse(model: type[M], data: Any) -> M:
    """``data`` as ``model``; a ``Failure`` where it has another shape."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise unusable(f"{where}: {first['msg']}") from error


def completion(data: Any) -> Completion:
    """The envelope, with at least one choice; a reply that a content filter cut is refused."""
    parsed = parse(Completion, data)
    if not parsed.choices:
        raise unusable("no choices")
    if parsed.choices[0].finish_reason == "content_filter":
        raise Failure("the server's content filter stopped the reply", final=True, refused=True)
    return parsed
