"""What can go wrong with one request, and the key that no message may show."""

import os
from dataclasses import dataclass

from gecko_kedro.teacher.http.settings import HttpSettings

_LONGEST_WORDS = 300
_REFUSED_PROMPT = frozenset({400, 413, 422})


class Failure(Exception):
    """A request that brought no usable reply.

    ``final``: asking again cannot help. ``refused``: what is refused is this prompt, as far as the
    status tells; others may be answered. ``outage``: the server as a whole seems to be down, which
    the circuit breaker counts. ``retry_after``: seconds, where the server named them.
    """

    def __init__(
        self,
        words: str,
        *,
        status: int | None = None,
        final: bool = False,
        outage: bool = False,
        refused: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(words)
        self.words, self.status, self.final = words, status, final
        self.outage, self.retry_after = outage, retry_after
        self.refused = refused or status in _REFUSED_PROMPT


def unusable(words: str) -> Failure:
    """The server answered, but not what was asked for: another try may help."""
    return Failure(f"unusable reply: {words}")


@dataclass(frozen=True, repr=False)
class Key:
    """The API key. It has no text of its own, so that it cannot be logged by accident."""

    _value: str | None

    @classmethod
    def of(cls, settings: HttpSettings) -> "Key":
        """The key in the environment variable that ``settings`` name; none where it is not set."""
        name = settings.api_key_env
        return cls(os.environ.get(name, "").strip() or None if name is not None else None)

    def __bool__(self) -> bool:
        return self._value is not None

    def headers(self, name: str) -> dict[str, str]:
        """The header that carries the key."""
        if self._value is None:
            return {}
        return {name: f"Bearer {self._value}" if name.lower() == "authorization" else self._value}

    def redact(self, text: str) -> str:
        """``text`` in one short line, the key taken out."""
        if self._value is not None:
            text = text.replace(self._value, "<key>")
        text = " ".join(text.split())
        return text if len(text) <= _LONGEST_WORDS else text[:_LONGEST_WORDS] + "..."

    def __repr__(self) -> str:
        return "Key(none)" if self._value is None else "Key(hidden)"
