"""When a request may be sent: the pace, pauses that the server asks for, the circuit breaker."""

import asyncio
import contextlib
import email.utils
import logging
import math
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from gecko_kedro.teacher.http.failure import Failure
from gecko_kedro.teacher.http.settings import HttpSettings

logger = logging.getLogger(__name__)
_SLOWEST = 1 / 60  # requests a second
_SHORTEST_S = 0.05  # replies of a shorter time tell no rate
_REPLIES_TO_RECOVER = 16  # after so many the rate is again what it was when it was cut
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


class Pace:
    """Requests a second: halved when the server limits them, raised a little by each reply.

    Additive increase, multiplicative decrease (Chiu and Jain 1989). Until the first refusal there
    is no limit. A cut holds until a reply has come: refusals before that are part of the same one.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.rate, self._step = math.inf, 0.0  # requests a second that are sent at most
        self._next = 0.0
        self._cut_at: float | None = None
        self._counted_from = clock()
        self._replies = 0

    def slot(self) -> float:
        """Seconds until the next request may go, which takes that place."""
        now = self._clock()
        at = max(now, self._next)
        self._next = at + 1.0 / self.rate
        return at - now

    def served(self) -> None:
        """A reply came."""
        self._replies += 1
        self.rate += self._step

    def refused(self, sent_at: float) -> None:
        """A request that was sent at ``sent_at`` met the server's limit."""
        if self._cut_at is not None and (sent_at <= self._cut_at or not self._replies):
            return
        now = self._clock()
        seen = max(self._replies, 1) / max(now - self._counted_from, _SHORTEST_S)
        before = min(self.rate, max(seen, _SLOWEST))
        self.rate = max(before / 2, _SLOWEST)
        self._step = (before - self.rate) / _REPLIES_TO_RECOVER
        self._cut_at = self._counted_from = self._next = now
        self._replies = 0
        logger.warning(
            "The teacher limits the rate of requests: %.3g a second from now on.", self.rate
        )


class Gate:
    """One for all requests of a run, on one event loop.

    While the circuit is closed everything passes. ``breaker_failures`` outages in a row open it:
    then one probe at a time passes, after a wait that doubles from ``breaker_cooldown_s``. A probe
    that is answered closes it; after ``breaker_probes`` in vain the run stops.
    """

    def __init__(self, settings: HttpSettings) -> None:
        self._settings = settings
        self._outages_in_a_row = 0
        self._failed_probes = 0
        self._open = False
        self._not_before = 0.0
        self._stopped = asyncio.Event()
        self._no_probe = asyncio.Event()
        self._no_probe.set()

    @property
    def stopped(self) -> bool:
        """Whether no further request is to be sent."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """Let nothing pass any more and wake all that wait; requests in flight go on."""
        self._stopped.set()
        self._no_probe.set()

    async def enter(self) -> bool:
        """Wait until a request may be sent; True where it is a probe."""
        while not self.stopped:
            wait = self._not_before - time.monotonic()
            if wait > 0:
                await self.sleep(wait)
            elif not self._no_probe.is_set():
                await self._no_probe.wait()
            else:
                if self._open:
                    self._no_probe.clear()
                return self._open
        raise _stopping()

    async def take_turn(self, pace: Pace) -> float:
        """Wait for a slot of ``pace``; the moment at which it begins."""
        wait = pace.slot()
        while wait > 0 and not self.stopped:
            await self.sleep(wait)
            wait = self._not_before - time.monotonic()
        if self.stopped:
            raise _stopping()
        return time.monotonic()

    def let_go(self, *, probe: bool) -> None:
        """A request came to nothing and says nothing; another one may probe."""
        if probe:
            self._no_probe.set()

    async def sleep(self, seconds: float) -> None:
        """Wait, but no longer than the run goes on."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopped.wait(), seconds)

    def pause(self, seconds: float) -> None:
        """Nothing passes for so long: the server asked for it."""
        self._not_before = max(self._not_before, time.monotonic() + seconds)

    def answered(self) -> None:
        """The server gave a reply, usable or not: the circuit closes."""
        if self._open:
            logger.warning("The teacher answers again.")
        self._open, self._outages_in_a_row, self._failed_probes = False, 0, 0
        self._no_probe.set()

    def went_unanswered(self, failure: Failure, *, probe: bool) -> None:
        """The server seems to be down; raises a final ``Failure`` after the last probe."""
        self._outages_in_a_row += 1
        self._failed_probes += probe
        self.let_go(probe=probe)
        if self._failed_probes >= self._settings.breaker_probes:
            raise Failure(
                f"{failure.words} ({self._outages_in_a_row} requests in a row failed, "
                f"{self._failed_probes} of them probes)",
                status=failure.status, final=True, outage=True,
            ) from failure  # fmt: skip
        if probe or (not self._open and self._outages_in_a_row >= self._settings.breaker_failures):
            wait = self._settings.breaker_cooldown_s * 2**self._failed_probes
            wait = min(wait, self._settings.longest_wait_s)
            logger.warning(
                "The teacher does not answer (%s): next try in %.3g s.", failure.words, wait
            )
            self._open = True
            self.pause(wait)


def _stopping() -> Failure:
    return Failure("not sent, because the run is stopping", final=True)


def asked_wait(headers: Mapping[str, str], words: str, *, longest: float) -> float | None:
    """Seconds that a server asks to wait, from now; None where it names no wait.

    Retry-After is an order. The time at which a limit is whole again is a hint, since some of it is
    there before: it counts up to ``longest``, and only where nothing is left of the limit.
    """
    told = _wait(headers.get("Retry-After", ""))
    if told is not None:
        return told
    in_ms = _number(headers.get("retry-after-ms"))
    if in_ms is not None:
        return in_ms / 1000
    hints = [_wait(headers[name]) for name in _RESETS if _is_spent(name, headers)]
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


def _wait(told: str) -> float | None:
    """Seconds from now of a number, a duration, an HTTP date (RFC 9110, 10.2.3) or an ISO date."""
    number = _number(told)
    if number is not None:
        if number > 1e3 * _EPOCH:
            number /= 1000
        return max(0.0, number - time.time() if number > _EPOCH else number)
    parts = _DURATION.findall(told)
    if parts and "".join(map("".join, parts)) == told.strip():
        return sum(float(count) * _UNITS[unit] for count, unit in parts)
    for parse in (datetime.fromisoformat, email.utils.parsedate_to_datetime):
        with contextlib.suppress(ValueError):
            when = parse(told)
            when = when if when.tzinfo else when.replace(tzinfo=UTC)
            return max(0.0, when.timestamp() - time.time())
    return None


def _number(text: str | None) -> float | None:
    try:
        number = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None
