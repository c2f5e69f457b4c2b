"""How long a server asks to wait, in the headers and words that are in use."""

import email.utils
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_IN_WORDS = re.compile(
    r"(?:try again|retry|wait)(?: \w+)? (?:in|after|for)? ?(\d+(?:\.\d+)?) ?(ms|s|m)", re.IGNORECASE
)
_RESETS = (
    "x-ratelimit-reset-requests", "x-ratelimit-reset-tokens", "x-ratelimit-reset",
    "ratelimit-reset", "anthropic-ratelimit-requests-reset", "anthropic-ratelimit-tokens-reset",
)  # fmt: skip
_EPOCH = 1e9  # a number beyond it is a moment, not a wait


def asked_wait(headers: Mapping[str, str], words: str, *, longest: float) -> float | None:
    """Seconds from now; None where the server names no wait.

    Retry-After is an order. The time at which a limit is whole again is a hint, since some of it is
    there before: it counts up to ``longest``, and only where nothing is left of the limit.
    """
    told = _seconds(headers.get("Retry-After"))
    if told is not None:
        return told
    in_ms = _number(headers.get("retry-after-ms"))
    if in_ms is not None:
        return in_ms / 1000
    hints = [_reset(headers[name]) for name in _RESETS if _is_spent(name, headers)]
    found = _IN_WORDS.search(words)
    if found:
        hints.append(float(found[1]) * _UNITS[found[2].lower()])
    known = [hint for hint in hints if hint is not None]
    return min(max(known), longest) if known else None


def _is_spent(reset: str, headers: Mapping[str, str]) -> bool:
    if reset not in headers:
        return False
    left = _number(headers.get(reset.replace("reset", "remaining")))
    return left is None or left <= 0


def _reset(told: str) -> float | None:
    number = _number(told)
    if number is not None:
        if number > 1e3 * _EPOCH:
            number /= 1000
        return max(0.0, number - datetime.now(UTC).timestamp()) if number > _EPOCH else number
    parts = _DURATION.findall(told)
    if parts and "".join(map("".join, parts)) == told.strip():
        return sum(float(count) * _UNITS[unit] for count, unit in parts)
    try:
        when = datetime.fromisoformat(told)
    except ValueError:
        return None
    return _until(when)


def _seconds(retry_after: str | None) -> float | None:
    """Seconds from now of a Retry-After: seconds or HTTP date (RFC 9110, section 10.2.3)."""
    if retry_after is None:
        return None
    number = _number(retry_after)
    if number is not None:
        return max(0.0, number)
    try:
        return _until(email.utils.parsedate_to_datetime(retry_after))
    except ValueError:
        return None


def _until(when: datetime) -> float:
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())


def _number(text: str | None) -> float | None:
    try:
        number = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None
