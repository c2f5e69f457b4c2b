"""The server's replies, as far as they are read (OpenAI's API and vLLM's additions to it)."""

from typing import Any, TypeVar

from pydantic import AliasChoices, BaseModel, Field, ValidationError

from gecko_kedro.teacher.http.failure import Failure, error_within, no_reply, unusable
from gecko_kedro.teacher.thinking import answer_of, shows_thought

_FILTERED = frozenset({"content_filter", "safety", "recitation", "prohibited_content", "refusal"})


class Usage(BaseModel):
    """Tokens that the server counted."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    completion_tokens_details: dict[str, Any] | None = None

    @property
    def hidden(self) -> int:
        """Tokens of a thought that the server does not show."""
        return int((self.completion_tokens_details or {}).get("reasoning_tokens") or 0)


class TokenLogprob(BaseModel):
    """One token and its natural-log probability; ``top_logprobs`` are likely ones in its place."""

    token: str = ""
    logprob: float | None = None
    top_logprobs: list["TokenLogprob"] | None = None


class Logprobs(BaseModel):
    """Both shapes: parallel lists (/completions) and ``content`` (/chat/completions, llama.cpp)."""

    tokens: list[str] | None = None
    token_logprobs: list[float | None] | None = None
    top_logprobs: list[dict[str, float | None] | None] | None = None
    content: list[TokenLogprob] | None = None

    def places(self) -> list[tuple[str, dict[str, float | None]]]:
        """Each token of the reply and the likely ones in its place."""
        if self.content:
            return [
                (one.token, {likely.token: likely.logprob for likely in one.top_logprobs or []})
                for one in self.content
            ]
        tops = self.top_logprobs or []
        tokens = self.tokens or [""] * len(tops)
        return [(token, top or {}) for token, top in zip(tokens, tops, strict=False)]

    def first_top(self) -> dict[str, float | None]:
        """The likely first tokens of the reply; empty where the server gave none."""
        return next((top for _, top in self.places()), {})


class Part(BaseModel):
    """A piece of a message: text, or a thought, which has another type."""

    type: str = "text"
    text: str | None = None


class Message(BaseModel):
    """What the assistant of a chat says."""

    content: str | list[Part] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None

    @property
    def text(self) -> str:
        """The content; parts that are no text are left out."""
        if isinstance(self.content, list):
            return "".join(part.text or "" for part in self.content if part.type == "text")
        return self.content or ""

    @property
    def thought(self) -> bool:
        """Whether a thought came beside the content."""
        parts = self.content if isinstance(self.content, list) else []
        apart = any(part.type != "text" for part in parts)
        return bool(self.reasoning_content or self.reasoning) or apart


class Choice(BaseModel):
    """One reply."""

    text: str | None = None
    message: Message | None = None
    logprobs: Logprobs | None = None
    prompt_logprobs: list[dict[str, TokenLogprob] | None] | None = None
    finish_reason: str | None = None
    error: Any = None

    @property
    def raw(self) -> str:
        """Its text, empty where there is none."""
        return (self.message.text if self.message else self.text) or ""

    @property
    def said(self) -> str:
        """Its text less its thoughts."""
        return answer_of(self.raw)

    @property
    def thought(self) -> bool:
        """Whether the model thought before it answered, as far as this shows it."""
        return shows_thought(self.raw) or bool(self.message and self.message.thought)

    @property
    def cut(self) -> bool:
        """Whether the limit of tokens ended it."""
        return self.finish_reason in {"length", "max_tokens", "MAX_TOKENS"}


class Completion(BaseModel):
    """The envelope of both APIs."""

    choices: list[Choice]
    usage: Usage | None = None


class Tokens(BaseModel):
    """Of /tokenize: vLLM and llama.cpp."""

    tokens: list[int]


class Detokenized(BaseModel):
    """Of /detokenize: ``prompt`` by vLLM, ``content`` by llama.cpp."""

    text: str = Field(validation_alias=AliasChoices("prompt", "content"))


M = TypeVar("M", bound=BaseModel)


def parse(model: type[M], data: Any) -> M:
    """``data`` as ``model``; a ``Failure`` where it has another shape, or is an error."""
    if isinstance(data, dict) and not data.get("choices"):
        if data.get("error"):
            raise error_within(data["error"])
        if data.get("object") == "error" or {"detail", "message"} & data.keys():
            raise error_within(data)
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise unusable(f"{where}: {first['msg']}") from error


def completion(data: Any) -> Completion:
    """The envelope, with at least one choice that is none of an error or a filter's cut."""
    parsed = parse(Completion, data)
    if not parsed.choices:
        raise unusable("no choices")
    first = parsed.choices[0]
    if first.error:
        raise error_within(first.error)
    reason = (first.finish_reason or "").lower()
    if reason in _FILTERED:
        raise no_reply("the server's content filter stopped the reply")
    if first.message and first.message.refusal and not first.raw:
        raise no_reply(f"the model refuses: {first.message.refusal[:200]}")
    if reason == "error":
        raise Failure("the server ended the reply with an error that it does not name")
    return parsed
