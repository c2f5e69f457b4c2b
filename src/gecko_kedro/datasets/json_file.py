"""Numbers and small facts in one JSON file, written atomically."""

import json
from pathlib import Path, PurePosixPath
from typing import Any

from kedro.io.core import AbstractDataset
from kedro_datasets._typing import JSONPreview

from gecko_kedro.base.errors import InputError
from gecko_kedro.base.files import write_text


class JsonDataset(AbstractDataset[dict[str, Any], dict[str, Any]]):
    """Loads and saves a ``dict`` as JSON.

    With ``optional`` an absent file loads as an empty dict: the report shows what there is, so that
    a run can be entered with files made elsewhere.
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

    def load(self) -> dict[str, Any]:
        if self.optional and not self.path.is_file():
            return {}
        try:
            content: dict[str, Any] = json.loads(self.path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(
                str(self.path),
                expected="a JSON file",
                got=str(error),
                fix="Delete it and run again to make it anew.",
            ) from error
        return content

    def save(self, data: dict[str, Any]) -> None:
        write_text(self.path, json.dumps(data, indent=1, ensure_ascii=False))

    def preview(self) -> JSONPreview:
        """The whole content, for Kedro-Viz."""
        return JSONPreview(json.dumps(self.load()))

    def _exists(self) -> bool:
        return self.path.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
