"""A plotly figure in one JSON file, written atomically."""

import json
from pathlib import Path, PurePosixPath
from typing import Any

import plotly.io
from kedro.io.core import AbstractDataset
from kedro_datasets._typing import PlotlyPreview
from plotly.graph_objects import Figure

from gecko_kedro.base.files import write_text


class PlotDataset(AbstractDataset[Figure, Figure]):
    """Loads and saves a plotly figure; Kedro-Viz shows it.

    kedro-datasets' ``plotly.JSONDataset`` writes in place: a full disk leaves half a plot, which
    then counts as made. With ``optional`` an absent file loads as an empty figure.
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

    def load(self) -> Figure:
        if self.optional and not self.path.is_file():
            return Figure()
        return plotly.io.from_json(self.path.read_text("utf-8"))

    def save(self, data: Figure) -> None:
        write_text(self.path, data.to_json())

    def preview(self) -> PlotlyPreview:
        """The figure, for Kedro-Viz."""
        return PlotlyPreview(json.loads(self.path.read_text("utf-8")))

    def _exists(self) -> bool:
        return self.path.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
