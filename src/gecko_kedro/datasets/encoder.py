"""An embedding model in a folder of the sentence-transformers layout."""

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from kedro.io.core import AbstractDataset

from gecko_kedro.base.errors import InputError, Words
from gecko_kedro.datasets._base import Metadata
from gecko_kedro.encoder.saving import export_encoder, save_encoder
from gecko_kedro.training.checkpoints import remove_checkpoints

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


class EncoderDataset(AbstractDataset["SentenceTransformer | tuple[str, str]", str]):
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
        self._folder = PurePosixPath(path)
        self._training = training
        self.metadata = metadata

    @property
    def path(self) -> Path:
        """The model's folder."""
        return Path(self._folder)

    def load(self) -> str:
        if not self._exists():
            raise InputError(
                str(self.path),
                expected="a folder with a trained encoder (modules.json)",
                got=Words("no such model"),
                fix="Run the pipeline that trains it, or put a sentence-transformers model there.",
            )
        return str(self.path)

    def save(self, data: "SentenceTransformer | tuple[str, str]") -> None:
        if isinstance(data, tuple):
            source, card = data
            export_encoder(source, self.path, card=card)
            return
        save_encoder(data, self.path)
        if self._training is not None:
            remove_checkpoints(self.path.parent / "checkpoints", self._training)

    def _exists(self) -> bool:
        return (self.path / "modules.json").is_file()

    def _describe(self) -> dict[str, Any]:
        return {"path": str(self._folder)}
