"""A working folder of a long job: checkpoints of a training, caches of an evaluation."""

from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

from kedro.io.core import AbstractDataset

from gecko_kedro.errors import InputError


class WorkFolderDataset(AbstractDataset[NoReturn, Path]):
    """Loads the path of a folder, made when it is absent; the job itself writes there.

    With ``of``, the catalog name of the job's output, each fingerprint of that output (parameters,
    inputs) has a sub-folder of its own: a job never goes on from another job's checkpoints.
    """

    def __init__(
        self, *, path: str, of: str | None = None, metadata: dict[str, Any] | None = None
    ) -> None:
        self._folder = PurePosixPath(path)
        self.of = of
        self.metadata = metadata
        self._fingerprint: str | None = None

    def expect_fingerprint(self, fingerprint: str) -> None:
        """Use the sub-folder of ``fingerprint``."""
        self._fingerprint = fingerprint

    def load(self) -> Path:
        folder = Path(self._folder)
        if self.of is not None and self._fingerprint is not None:
            folder /= self._fingerprint[:16]
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def save(self, data: NoReturn) -> None:
        raise InputError(
            str(self._folder),
            expected="to be written by the job that was given the folder",
            got="no save is possible",
            fix="Write into the loaded path.",
        )

    def _describe(self) -> dict[str, Any]:
        return {"path": str(self._folder), "of": self.of}
