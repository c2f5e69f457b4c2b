"""When a request may be sent: pauses that the server asked for, and the circuit breaker."""

import asyncio
import contextlib
import logging
import time

from gecko_kedro.teacher.http.failure import Failure
from gecko_kedro.teacher.http.pace import Pace
from gecko_kedro.teacher.http.settings import HttpSettings

logger = logging.getLogger(__name__)


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
        raise Failure("not sent, because the run is stopping", final=True)

    async def take_turn(self, pace: Pace) -> float:
        """Wait for a slot of ``pace``; the moment at which it begins."""
        wait = pace.slot()
        while wait > 0 and not self.stopped:
            await self.sleep(wait)
            wait = self._not_before - time.monotonic()
        if self.stopped:
            raise Failure("not sent, because the run is stopping", final=True)
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
        if self._failed_probes >= self._settings.breaker_probes:
            self._no_probe.set()
            raise Failure(
                f"{failure.words} ({self._outages_in_a_row} requests in a row failed, "
                f"{self._failed_probes} of them probes)",
                status=failure.status,
                final=True,
                outage=True,
            ) from failure
        if probe or (not self._open and self._outages_in_a_row >= self._settings.breaker_failures):
            wait = self._settings.breaker_cooldown_s * 2**self._failed_probes
            wait = min(wait, self._settings.longest_wait_s)
            logger.warning(
                "The teacher does not answer (%s): next try in %.3g s.", failure.words, wait
            )
            self._open = True
            self.pause(wait)
        if probe:
            self._no_probe.set()
