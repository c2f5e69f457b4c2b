"""Settings of the HTTP backend; conf/base/parameters/teacher.yml says more about each."""

from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, field_validator

from gecko_kedro.base.settings import EXECUTION, Count, Settings

NO_THINKING = {"enable_thinking": False}  # of the templates of Qwen, GLM and others
_SECRET_HEADERS = ("authorization", "proxy-authorization", "api-key", "x-api-key", "cookie")


def _how(default: Any, **bounds: Any) -> Any:
    """A field that says how a reply is fetched, not which reply it is."""
    return Field(default, json_schema_extra=EXECUTION, **bounds)


class HttpSettings(Settings):
    """Any server that speaks the OpenAI API. Nothing here is secret: it all may be logged."""

    model_config = ConfigDict(hide_input_in_errors=True)

    base_url: str = _how("http://127.0.0.1:8000/v1")
    model: str | None = None
    revision: str | None = Field(None, description="what replies depend on besides, in words")
    dialect: Literal["auto", "vllm", "llama.cpp", "tgi", "openai"] = "auto"
    api: Literal["auto", "completions", "chat"] = "auto"
    tokenizer: str | None = Field(None, description="hub id or folder; null: the server's own")
    chat_template: bool | None = Field(None, description="null: where the tokenizer has one")
    max_new_tokens: Count = 256
    stop: list[str] = Field(["\n\n"], description="ends an unconstrained reply of /completions")
    thinking_tokens: int = Field(4096, ge=0, description="more, for a thought without a switch")
    chat_template_kwargs: dict[str, Any] = NO_THINKING
    top_logprobs: Count = Field(5, description="tokens that a label is looked up among")
    extra_body: dict[str, Any] = Field({}, description="joins each request; null removes a key")
    headers: dict[str, str] = _how({})
    api_key_env: str | None = _how(None)
    api_key_header: str = _how("Authorization")
    check_at_start: bool = _how(True)
    check_prompt_tokens: bool = _how(True)
    wait_for_server_s: float = _how(600, ge=0)
    concurrency: int = _how(32, ge=1)
    timeout_s: float = _how(300, gt=0)
    max_retries: int = _how(6, ge=0)
    backoff_s: float = _how(1.0, gt=0)
    longest_wait_s: float = _how(60, gt=0)
    breaker_failures: int = _how(10, ge=1)
    breaker_cooldown_s: float = _how(5, gt=0)
    breaker_probes: int = _how(5, ge=1)

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
