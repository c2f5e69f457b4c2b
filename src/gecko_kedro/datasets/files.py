"""Single files and models, each written whole or not at all, and working folders."""

import json
from pathlib import Path, PurePosixPath
from typing import Any

import plotly.io
from kedro_datasets._typing import JSONPreview, PlotlyPreview
from plotly.graph_objects import Figure

from gecko_kedro.base.errors import InputError, Words
from gecko_kedro.base.files import write_text
from gecko_kedro.datasets._base import FileDataset, FolderDataset, Metadata, ReadOnlyDataset
from gecko_kedro.encoder.model import Encoder
from gecko_kedro.encoder.saving import export_encoder, save_encoder
from gecko_kedro.training.checkpoints import remove_checkpoints


class TextFileDataset(FileDataset[str, str]):
    """Loads and saves text (UTF-8): the report, the model card."""

    def load(self) -> str:
        return "" if self._is_left_out() else self.path.read_text("utf-8")

    def save(self, data: str) -> None:
        write_text(self.path, data)


class JsonDataset(FileDataset[dict[str, Any], dict[str, Any]]):
    """Loads and saves a ``dict`` as JSON.

    The report shows what there is of the ``optional`` ones, so that a run can be entered with files
    made elsewhere.
    """

    def load(self) -> dict[str, Any]:
        if self._is_left_out():
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


class PlotDataset(FileDataset[Figure, Figure]):
    """Loads and saves a plotly figure; Kedro-Viz shows it.

    kedro-datasets' ``plotly.JSONDataset`` writes in place: a full disk leaves half a plot, which
    then counts as made.
    """

    def load(self) -> Figure:
        if self._is_left_out():
            return Figure()
        return plotly.io.from_json(self.path.read_text("utf-8"))

    def save(self, data: Figure) -> None:
        write_text(self.path, data.to_json())

    def preview(self) -> PlotlyPreview:
        """The figure, for Kedro-Viz."""
        return PlotlyPreview(json.loads(self.path.read_text("utf-8")))


class EncoderDataset(FolderDataset[Encoder | tuple[str, str], str]):
    """Saves a model into the folder ``path`` (whole or not at all); loads the folder's path.

    What is saved is a model in memory, or the folder of one and the card that its copy gets.

    The path and not the model: in which precision, on which device and with which attention an
    encoder is loaded differs between training and inference, and is theirs to say.

    ``training`` names the training that makes the model. Its checkpoints, in the sibling folder
    ``checkpoints``, go once the model is saved: there is nothing left to resume.
    """

    def __init__(
        self, *, path: str, training: str | None = None, metadata: Metadata = None
    ) -> None:
        super().__init__(path=path, metadata=metadata)
        self._training = training

    def load(self) -> str:
        if not self._exists():
            raise InputError(
                str(self.path),
                expected="a folder with a trained encoder (modules.json)",
                got=Words("no such model"),
                fix="Run the pipeline that trains it, or put a sentence-transformers model there.",
            )
        return str(self.path)

    def save(self, data: Encoder | tuple[str, str]) -> None:
        if isinstance(data, tuple):
            source, card = data
            export_encoder(source, self.path, card=card)
            return
        save_encoder(data, self.path)
        if self._training is not None:
            remove_checkpoints(self.path.parent / "checkpoints", self._training)

    def _exists(self) -> bool:
        return (self.path / "modules.json").is_file()


class WorkFolderDataset(ReadOnlyDataset[Path]):
    """Loads the path of a folder, made when it is absent; the job itself writes there.

    Such as the checkpoints of a training and the caches of an evaluation. What lies there is keyed
    by content, so that a job never goes on from another job's work.
    """

    def __init__(self, *, path: str, metadata: Metadata = None) -> None:
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
