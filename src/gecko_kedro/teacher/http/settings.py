"""Settings of the HTTP backend; the values are in the parameter files."""

from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

_EXECUTION: dict[str, Any] = {"execution_only": True}  # no part of a fingerprint
NO_THINKING = {"enable_thinking": False}  # of the templates of Qwen, GLM and others
_SECRET_HEADERS = ("authorization", "proxy-authorization", "api-key", "x-api-key", "cookie")


def _how(description: str, **bounds: Any) -> Any:
    """A field that says how a reply is fetched, not which reply it is."""
    return Field(description=description, json_schema_extra=_EXECUTION, **bounds)


class HttpSettings(BaseModel):
    """Any server that speaks the OpenAI API. Nothing here is secret: it all may be logged."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    base_url: str = _how("with the version, as http://127.0.0.1:8000/v1")
    model: str | None = Field(description="the name that the server knows")
    revision: str | None = Field(description="what replies depend on besides the name, in words")
    dialect: Literal["auto", "vllm", "llama.cpp", "tgi", "openai"] = Field(
        description="what the server can do; auto tries it out"
    )
    api: Literal["auto", "completions", "chat"] = Field(description="/completions or /chat/...")
    tokenizer: str | None = Field(description="hub id or folder; null: the server's own")
    chat_template: bool | None = Field(
        description="of /completions; null: where the tokenizer has one"
    )
    max_new_tokens: int = Field(ge=1, description="longest reply of generate")
    stop: list[str] = Field(description="ends an unconstrained reply of /completions")
    thinking_tokens: int = Field(
        default=4096, ge=0, description="more tokens for the thought of a model that has no switch"
    )
    chat_template_kwargs: dict[str, Any] = Field(
        default=NO_THINKING, description="of the template that `tokenizer` applies"
    )
    top_logprobs: int = Field(ge=1, description="tokens that a label is looked up among")
    extra_body: dict[str, Any] = Field(description="joins each request; null removes a key")
    headers: dict[str, str] = _how("join each request; never a secret")
    api_key_env: str | None = _how("environment variable that holds the key; null: no key")
    api_key_header: str = _how("Authorization gets 'Bearer <key>', another one the bare key")
    check_at_start: bool = _how("ask one tiny example of each call before any work")
    check_prompt_tokens: bool = _how(
        "stop where the server reads fewer tokens than were sent", default=True
    )
    wait_for_server_s: float = _how(
        "longest wait for a server that loads, or serves nobody because of a rate limit",
        default=600, ge=0,
    )  # fmt: skip
    concurrency: int = _how("requests in flight", ge=1)
    timeout_s: float = _how("of one request, seconds", gt=0)
    max_retries: int = _how("of one request", ge=0)
    backoff_s: float = _how("longest wait before the first retry; doubles", gt=0)
    longest_wait_s: float = _how("longest wait, also for a Retry-After", gt=0)
    breaker_failures: int = _how("failures in a row that open the circuit breaker", ge=1)
    breaker_cooldown_s: float = _how("wait before a probe; doubles", gt=0)
    breaker_probes: int = _how("failed probes that stop the run", ge=1)

    @field_validator("base_url")
    @classmethod
    def _no_secret_in_url(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("must begin with http:// or https:// and a host")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("must have no user, password or query: the key goes in api_key_env")
        return url.rstrip("/")

    @field_validator("headers")
    @classmethod
    def _no_secret_in_headers(cls, headers: dict[str, str]) -> dict[str, str]:
        secret = sorted(name for name in headers if name.lower() in _SECRET_HEADERS)
        if secret:
            raise ValueError(
                f"{', '.join(secret)} would be logged: set api_key_env and api_key_header"
            )
        return headers
