"""A working folder of long jobs: checkpoints of a training, caches of an evaluation."""

from pathlib import Path, PurePosixPath
from typing import Any

from gecko_kedro.datasets._read_only import ReadOnlyDataset


class WorkFolderDataset(ReadOnlyDataset[Path]):
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

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"path": str(self._folder)}
