"""Progress of long work: a bar on a terminal, a plain log line otherwise."""

import logging
import os
import sys
import time

from tqdm import tqdm

logger = logging.getLogger(__name__)
_SECONDS_BETWEEN_LINES = 15.0


class Progress:
    """Counts up to ``total`` and shows rate and time left; use as a context manager.

    On a terminal it is a tqdm bar on stderr; elsewhere one log line every 15 seconds, so that a
    short stage prints nothing at all.
    """

    def __init__(self, description: str, *, total: int, unit: str = "row") -> None:
        self.description, self.total, self.unit = description, total, unit
        self.done = 0
        self._started = self._last_line = time.monotonic()
        self._bar = (
            tqdm(total=total, desc=description, unit=unit, leave=False)
            if sys.stderr.isatty() and os.environ.get("RANK", "0") == "0"  # one bar of torchrun
            else None
        )

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def advance(self, amount: int = 1, *, note: str = "") -> None:
        """Add ``amount`` finished units; ``note`` is shown at the end of the line."""
        self.done += amount
        if self._bar is not None:
            self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(amount)
            return
        now = time.monotonic()
        if now - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._last_line = now
            rate = self.done / (now - self._started)
            left = max(self.total - self.done, 0) / rate if rate else float("inf")
            logger.info(
                "%s: %d of %d %ss, %.1f a second, about %.0f s left%s",
                self.description, self.done, self.total, self.unit, rate, left,
                f"; {note}" if note else "",
            )  # fmt: skip
