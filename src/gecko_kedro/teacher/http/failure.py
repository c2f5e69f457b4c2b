"""What can go wrong with one request, and the key that no message may show."""

import os
import re
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any

from gecko_kedro.teacher.http.settings import HttpSettings

_LONGEST_WORDS = 300
_REFUSED_PROMPT = frozenset({400, 413, 422})
# Too early, conflict, rate limit and Anthropic's "overloaded" pass by themselves, as 5xx may do.
_PASSING = frozenset({408, 409, 425, 429, 529})
_OVERLOAD = frozenset({429, 503, 529})
# Names that servers give in place of a number, in `code` or in `type`.
_STATUS_OF_NAME = {
    "rate_limit": 429, "too_many_requests": 429, "insufficient_quota": 402, "billing": 402,
    "payment": 402, "insufficient_credits": 402, "invalid_api_key": 401, "authentication": 401,
    "unauthorized": 401, "permission": 403, "forbidden": 403, "moderation": 403,
    "model_not_found": 404, "not_found": 404, "context_length": 400, "invalid_request": 400,
    "content_filter": 400, "bad_request": 400, "overloaded": 529, "server_error": 500,
    "internal": 500, "api_error": 500, "unavailable": 503, "timeout": 504,
}  # fmt: skip
# A quota of a day, or money, does not come back within a run.
_NO_PATIENCE = re.compile(
    r"per[- _]day|daily|insufficient[_ ]quota|exceeded your current quota|credits|billing"
    r"|per[- _]month|monthly",
    re.IGNORECASE,
)
_TAG = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.DOTALL | re.IGNORECASE)


@dataclass(eq=False, repr=False)
class Failure(Exception):
    """A request that brought no usable reply.

    ``final``: asking again cannot help. ``refused``: what is refused is this prompt, as far as the
    status tells; others may be answered. ``outage``: the server as a whole seems to be down, which
    the circuit breaker counts. ``retry_after``: seconds, where the server named them. ``loading``:
    as a server is that has yet to start. ``fix``: what to do. ``cut_at``: the number of tokens that
    the server was seen to cut prompts to.
    """

    words: str
    _: KW_ONLY
    status: int | None = None
    final: bool = False
    outage: bool = False
    refused: bool = False
    loading: bool = False
    retry_after: float | None = None
    fix: str | None = None
    cut_at: int | None = None

    def __post_init__(self) -> None:
        self.refused = self.refused or (self.status in _REFUSED_PROMPT and self.final)

    @property
    def too_fast(self) -> bool:
        """Whether the server limits the rate of requests: it answers fewer of them."""
        return self.status == 429 and not self.final


def unusable(words: str) -> Failure:
    """The server answered, but not what was asked for: another try may help."""
    return Failure(f"unusable reply: {words}")


def no_reply(words: str) -> Failure:
    """To this prompt nothing comes that may be kept; others may be answered."""
    return Failure(words, final=True, refused=True)


def refusal(status: int, words: str, *, retry_after: float | None = None) -> Failure:
    """What an HTTP status means, or a code of the same meaning within a reply."""
    spent = status == 429 and bool(_NO_PATIENCE.search(words))
    passing = (status in _PASSING or status >= 500) and status != 501 and not spent
    return Failure(
        f"HTTP {status}: {words}",
        status=status,
        final=not passing,
        outage=status >= 500 and status not in {501, 529},
        loading=status in {502, 503, 504},
        retry_after=retry_after if status in _OVERLOAD else None,
    )


def error_within(error: Any) -> Failure:
    """An error in the body of a reply with status 200, or within one of its choices."""
    words = " ".join(words_of(error).split())[:_LONGEST_WORDS]
    status = _status_of(error)
    if status is None:
        spent = bool(_NO_PATIENCE.search(words))
        return Failure(f"an error in place of a reply: {words}", final=spent)
    return refusal(status, words)


def words_of(error: Any) -> str:
    """The server's own message out of its error; the whole of it where it has none."""
    if not isinstance(error, Mapping):
        return str(error)
    for name in ("message", "detail", "error", "msg"):
        if error.get(name):
            told = error[name]
            # A gateway puts what it got from behind it in `metadata`.
            more = error.get("metadata")
            raw = more.get("raw") if isinstance(more, Mapping) else None
            return f"{words_of(told)} ({raw})" if raw else words_of(told)
    return str(dict(error))


def plain(words: str) -> str:
    """The text of an HTML page; other words as they are."""
    if re.search(r"<(?:!doctype|html|head|body)\b", words[:1000], re.IGNORECASE):
        return f"an HTML page: {' '.join(_TAG.sub(' ', words).split())}"
    return words


def _status_of(error: Any) -> int | None:
    if not isinstance(error, Mapping):
        return None
    for name in ("code", "status", "status_code", "type"):
        told = error.get(name)
        if isinstance(told, str):
            found = [status for part, status in _STATUS_OF_NAME.items() if part in told.lower()]
            told = int(told) if told.strip().isdigit() else next(iter(found), None)
        if isinstance(told, int | float) and 400 <= told < 600:
            return int(told)
    return None


@dataclass(frozen=True, repr=False)
class Key:
    """The API key. It has no text of its own, so that it cannot be logged by accident."""

    _value: str

    @classmethod
    def of(cls, settings: HttpSettings) -> "Key":
        """The key in the environment variable that ``settings`` name; none where it is not set."""
        return cls(os.environ.get(settings.api_key_env or "", "").strip())

    def __bool__(self) -> bool:
        return bool(self._value)

    def headers(self, name: str) -> dict[str, str]:
        """The header that carries the key."""
        bearer = "Bearer " if name.lower() == "authorization" else ""
        return {name: bearer + self._value} if self else {}

    def redact(self, text: str) -> str:
        """``text`` in one short line, the key taken out."""
        text = " ".join((text.replace(self._value, "<key>") if self else text).split())
        return text if len(text) <= _LONGEST_WORDS else text[:_LONGEST_WORDS] + "..."

    def __repr__(self) -> str:
        return "Key(hidden)" if self else "Key(none)"
