"""What this process has learned about one server; it outlives the batches of requests."""

import logging
import time

from gecko_kedro.teacher.http.adapting import Adaptations
from gecko_kedro.teacher.http.failure import Failure
from gecko_kedro.teacher.http.lengths import PromptLengths
from gecko_kedro.teacher.http.pace import Pace

logger = logging.getLogger(__name__)
_FIRST_LINE_S = 1.0


class ServerRecord:
    """Whether it has served yet, how fast it serves, what it does not take, what it reads."""

    def __init__(self, *, patience_s: float) -> None:
        self.adaptations, self.pace, self.lengths = Adaptations(), Pace(), PromptLengths()
        self._patience_s = patience_s
        self._served = False
        self._quiet_since: float | None = None
        self._next_line = 0.0

    def answered(self) -> None:
        """A reply came, usable or not."""
        if not self._served and self._next_line:
            logger.info("The teacher's server has started.")
        self._served, self._quiet_since = True, None

    def is_loading(self, failure: Failure) -> bool:
        """Whether to go on waiting for a server that has not served yet; says so in the log."""
        if self._served or not failure.loading or not self._has_patience():
            return False
        waited = self._quiet_for()
        if waited >= self._next_line:
            self._next_line = max(_FIRST_LINE_S, 2 * waited)
            logger.warning(
                "The teacher's server is not there yet (%s): waited %.0f of at most %.0f s.",
                failure.words, waited, self._patience_s,
            )  # fmt: skip
        return True

    def is_only_slow(self, failure: Failure) -> bool:
        """Whether a limit of the rate is all that is wrong: some replies come in the meantime."""
        return failure.too_fast and self._has_patience()

    def _has_patience(self) -> bool:
        return self._quiet_for() < self._patience_s

    def _quiet_for(self) -> float:
        """Seconds since the first failure after the last reply."""
        now = time.monotonic()
        if self._quiet_since is None:
            self._quiet_since = now
        return now - self._quiet_since
