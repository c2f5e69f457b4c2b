"""A page of text, written atomically."""

from pathlib import Path, PurePosixPath
from typing import Any

from kedro.io.core import AbstractDataset

from gecko_kedro.base.files import write_text


class TextFileDataset(AbstractDataset[str, str]):
    """Loads and saves text (UTF-8): the report, the model card.

    With ``optional`` an absent file loads as an empty text.
    """

    def __init__(
        self, *, filepath: str, optional: bool = False, metadata: dict[str, Any] | None = None
    ) -> None:
        self._filepath = PurePosixPath(filepath)
        self.optional = optional
        self.metadata = metadata

    @property
    def path(self) -> Path:
        """Where the file lies."""
        return Path(self._filepath)

    def load(self) -> str:
        if self.optional and not self.path.is_file():
            return ""
        return self.path.read_text("utf-8")

    def save(self, data: str) -> None:
        write_text(self.path, data)

    def _exists(self) -> bool:
        return self.path.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
