"""A working folder of long jobs: checkpoints of a training, caches of an evaluation."""

from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

from kedro.io.core import AbstractDataset

from gecko_kedro.base.errors import InputError, Words


class WorkFolderDataset(AbstractDataset[NoReturn, Path]):
    """Loads the path of a folder, made when it is absent; the job itself writes there.

    What lies there is keyed by content, so that a job never goes on from another job's work.
    """

    def __init__(self, *, path: str, metadata: dict[str, Any] | None = None) -> None:
        self._folder = PurePosixPath(path)
        self.metadata = metadata

    def load(self) -> Path:
        folder = Path(self._folder)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def save(self, data: NoReturn) -> None:
        raise InputError(
            str(self._folder),
            expected="to be written by the job that was given the folder",
            got=Words("no save is possible"),
            fix="Write into the loaded path.",
        )

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"path": str(self._folder)}
