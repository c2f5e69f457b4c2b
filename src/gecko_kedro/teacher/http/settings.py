"""Settings of the HTTP backend; conf/base/parameters/teacher.yml says more about each."""

from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, field_validator

from gecko_kedro.base.settings import EXECUTION, Count, Settings

NO_THINKING = {"enable_thinking": False}  # of the templates of Qwen, GLM and others
_SECRET_HEADERS = ("authorization", "proxy-authorization", "api-key", "x-api-key", "cookie")


def _how(default: Any, description: str, **bounds: Any) -> Any:
    """A field that says how a reply is fetched, not which reply it is."""
    return Field(default, description=description, json_schema_extra=EXECUTION, **bounds)


class HttpSettings(Settings):
    """Any server that speaks the OpenAI API. Nothing here is secret: it all may be logged."""

    model_config = ConfigDict(hide_input_in_errors=True)

    base_url: str = _how("http://127.0.0.1:8000/v1", "with the version")
    model: str | None = Field(None, description="the name that the server knows")
    revision: str | None = Field(None, description="what replies depend on besides, in words")
    dialect: Literal["auto", "vllm", "llama.cpp", "tgi", "openai"] = Field(
        "auto", description="what the server can do; auto tries it out"
    )
    api: Literal["auto", "completions", "chat"] = Field("auto", description="/completions or chat")
    tokenizer: str | None = Field(None, description="hub id or folder; null: the server's own")
    chat_template: bool | None = Field(
        None, description="of /completions; null: where the tokenizer has one"
    )
    max_new_tokens: Count = Field(256, description="longest reply of generate")
    stop: list[str] = Field(["\n\n"], description="ends an unconstrained reply of /completions")
    thinking_tokens: int = Field(
        4096, ge=0, description="more tokens for the thought of a model that has no switch"
    )
    chat_template_kwargs: dict[str, Any] = Field(
        NO_THINKING, description="of the template that `tokenizer` applies"
    )
    top_logprobs: Count = Field(5, description="tokens that a label is looked up among")
    extra_body: dict[str, Any] = Field({}, description="joins each request; null removes a key")
    headers: dict[str, str] = _how({}, "join each request; never a secret")
    api_key_env: str | None = _how(None, "environment variable with the key; null: no key")
    api_key_header: str = _how("Authorization", "gets 'Bearer <key>', another one the bare key")
    check_at_start: bool = _how(True, "ask one tiny example of each call before any work")
    check_prompt_tokens: bool = _how(True, "stop where the server reads fewer tokens than sent")
    wait_for_server_s: float = _how(
        600, "longest wait for a server that loads, or serves nobody because of a rate limit", ge=0
    )
    concurrency: int = _how(32, "requests in flight", ge=1)
    timeout_s: float = _how(300, "of one request, seconds", gt=0)
    max_retries: int = _how(6, "of one request", ge=0)
    backoff_s: float = _how(1.0, "longest wait before the first retry; doubles", gt=0)
    longest_wait_s: float = _how(60, "longest wait, also for a Retry-After", gt=0)
    breaker_failures: int = _how(10, "failures in a row that open the circuit breaker", ge=1)
    breaker_cooldown_s: float = _how(5, "wait before a probe; doubles", gt=0)
    breaker_probes: int = _how(5, "failed probes that stop the run", ge=1)

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
