"""Workers for tests: small, and of a module, so that an actor can import them."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from gecko_kedro.base.errors import InputError


class Scaler:
    """Multiplies the column ``x``."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    def __call__(self, rows: pl.DataFrame) -> pl.DataFrame:
        return rows.with_columns(pl.col("x") * self.factor)


class Failing:
    """A model that is not there."""

    def __init__(self) -> None:
        raise InputError("the model", expected="a folder", got=7, fix="Make one.")

    def __call__(self, rows: pl.DataFrame) -> pl.DataFrame:
        return rows


class Mortal:
    """Any worker, whose process is killed once, in the middle of its second task."""

    def __init__(self, make: Callable[[], Callable[[Any], Any]], grave: Path) -> None:
        self._worker, self._grave, self._tasks = make(), grave, 0

    def __call__(self, task: Any) -> Any:
        self._tasks += 1
        done = self._worker(task)
        if self._tasks == 2 and not self._grave.exists():
            self._grave.write_text(str(os.getpid()), "utf-8")
            os.kill(os.getpid(), signal.SIGKILL)
        return done
