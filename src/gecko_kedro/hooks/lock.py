"""One run at a time on a data folder, and no run on a folder that cannot be written to."""

import json
import os
import socket
import tempfile
from collections.abc import Generator, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.pipeline import Pipeline

from gecko_kedro.base.errors import InputError, Words, write_error
from gecko_kedro.base.files import write_text

_LOCK = ".run.lock"
_HOLDER = ".run.json"


class RunLock:
    """A lock on the data folder ``folder``, for this process.

    The operating system holds it (``flock``) and gives it back when the process dies, whatever it
    dies of: no stale lock is ever to be removed by hand. Beside it lies who holds it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = FileLock(folder / _LOCK, timeout=0, thread_local=False)

    def acquire(self) -> None:
        """Take the lock; InputError where another run has it or the folder takes no file."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except Timeout as error:
            raise self._taken() from error
        except OSError as error:
            raise write_error(self.folder, error) from error
        now = datetime.now(UTC).isoformat(timespec="seconds")
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": now}
        try:
            write_text(self.folder / _HOLDER, json.dumps(holder))
        except InputError:
            self._lock.release()
            raise

    def release(self) -> None:
        """Give the lock back; nothing happens where it is not held."""
        if self._lock.is_locked:
            (self.folder / _HOLDER).unlink(missing_ok=True)
            self._lock.release()

    def _taken(self) -> InputError:
        try:
            holder = json.loads((self.folder / _HOLDER).read_text("utf-8"))
            who = "process {pid} on {host}, since {since}".format_map(holder)
        except (OSError, ValueError, LookupError):  # it is just starting or just ending
            who = "a process that has not said who it is"
        return InputError(
            f"data folder {self.folder}",
            expected="one run at a time",
            got=Words(f"no free folder: {who}, is running in it"),
            fix="Wait for that run or stop it (when its process ends, the folder is free), or give "
            "this run a folder of its own: `data` in conf/<env>/globals.yml and --env <env>.",
        )


class LockHooks:
    """Holds the lock of the data folder from before anything is written to the end of the run."""

    _folder = Path()
    _lock: RunLock | None = None

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Learn the data folder."""
        self._folder = data_folder(context)

    @hook_impl(wrapper=True)
    def before_pipeline_run(self, pipeline: Pipeline, catalog: Any) -> Generator[None, Any, Any]:
        """Lock, try each folder that the run will write to, then let the other hooks begin."""
        self._release()  # in a notebook, of a run that was interrupted
        self._lock = RunLock(self._folder)
        self._lock.acquire()
        try:
            refuse_unwritable(_written_folders(pipeline, catalog))
            return (yield)
        except BaseException:
            self._release()
            raise

    @hook_impl(trylast=True)
    def after_pipeline_run(self) -> None:
        """Unlock."""
        self._release()

    @hook_impl(trylast=True)
    def on_pipeline_error(self, error: Exception) -> None:
        """Unlock."""
        self._release()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def data_folder(context: KedroContext) -> Path:
    """Where the data of this environment lie: ``data`` in its globals.yml."""
    return Path(context.project_path, context.config_loader["globals"]["data"])


def refuse_unwritable(folders: Iterable[Path]) -> None:
    """Try an unnamed file in each folder, or in the parent that it will be made in.

    InputError names the first that takes none.
    """
    for folder in folders:
        there = next(place for place in (folder, *folder.parents) if place.exists())
        try:
            with tempfile.TemporaryFile(dir=there):
                pass
        except OSError as error:
            raise write_error(folder, error) from error


def _written_folders(pipeline: Pipeline, catalog: Any) -> list[Path]:
    datasets = (catalog.get(name) for name in pipeline.all_outputs())
    places = (getattr(one, "path", None) or getattr(one, "_filepath", None) for one in datasets)
    return sorted({Path(str(place)).parent for place in places if place is not None})
