"""How fast requests are sent, learned from what the server serves."""

import logging
import math
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)
_SLOWEST = 1 / 60  # requests a second
_SHORTEST_S = 0.05  # replies of a shorter time tell no rate
_REPLIES_TO_RECOVER = 16  # after so many the rate is again what it was when it was cut


class Pace:
    """Requests a second: halved when the server limits them, raised a little by each reply.

    Additive increase, multiplicative decrease (Chiu and Jain 1989). Until the first refusal there
    is no limit. A cut holds until a reply has come: refusals before that are part of the same one.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rate, self._step = math.inf, 0.0
        self._next = 0.0
        self._cut_at: float | None = None
        self._counted_from = clock()
        self._replies = 0

    @property
    def rate(self) -> float:
        """Requests a second that are sent at most."""
        return self._rate

    def slot(self) -> float:
        """Seconds until the next request may go, which takes that place."""
        now = self._clock()
        at = max(now, self._next)
        self._next = at + (0.0 if math.isinf(self._rate) else 1.0 / self._rate)
        return at - now

    def served(self) -> None:
        """A reply came."""
        self._replies += 1
        if math.isfinite(self._rate):
            self._rate += self._step

    def refused(self, sent_at: float) -> None:
        """A request that was sent at ``sent_at`` met the server's limit."""
        if self._cut_at is not None and (sent_at <= self._cut_at or not self._replies):
            return
        now = self._clock()
        seen = max(self._replies, 1) / max(now - self._counted_from, _SHORTEST_S)
        before = min(self._rate, max(seen, _SLOWEST))
        self._rate = max(before / 2, _SLOWEST)
        self._step = (before - self._rate) / _REPLIES_TO_RECOVER
        self._cut_at = self._counted_from = self._next = now
        self._replies = 0
        logger.warning(
            "The teacher limits the rate of requests: %.3g a second from now on.", self._rate
        )
