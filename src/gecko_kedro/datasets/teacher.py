"""A teacher as a node takes it: settings, prompts, and the store of its replies."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from gecko_kedro.datasets._base import FolderDataset, Metadata, ReadOnlyDataset
from gecko_kedro.fret.prepared import PreparedTeacher
from gecko_kedro.teacher.adapted import RECORD
from gecko_kedro.training.adaptation import NAME as ADAPTATION
from gecko_kedro.training.adaptation import AdaptedModel
from gecko_kedro.training.checkpoints import remove_checkpoints


class AdaptedModelDataset(FolderDataset[AdaptedModel, Path | None]):
    """Saves an adapted language model into the folder ``path``, whole or not at all.

    Loads the folder's path, or None where the teacher was not adapted. Checkpoints of the
    adaptation, in the sibling folder ``checkpoints``, go once it is saved. An ``optional`` one that
    is absent counts as not adapted.
    """

    def __init__(self, *, path: str, optional: bool = False, metadata: Metadata = None) -> None:
        super().__init__(path=path, metadata=metadata)
        self.optional = optional

    def load(self) -> Path | None:
        if self.optional and not self._exists():
            return None
        return self.path if json.loads((self.path / RECORD).read_text("utf-8")) else None

    def save(self, data: AdaptedModel) -> None:
        data.save(self.path)
        remove_checkpoints(self.path.parent / "checkpoints", ADAPTATION)

    def _exists(self) -> bool:
        return (self.path / RECORD).is_file()


class TeacherDataset(ReadOnlyDataset[PreparedTeacher]):
    """Loads the teacher of ``settings``, to be opened on ``engine`` where there is work for it.

    ``prompts`` is the YAML file of the prompts, ``store`` the folder of the replies,
    ``models`` that of the embedded language model.

    Example::

        params:work.relabel_teacher:
          type: gecko_kedro.datasets.TeacherDataset
          settings: ${params:teacher}
          engine: ${params:engine}
          prompts: ${conf:prompts/gecko.yml}
          store: data/03_primary/response_store
          models: data/03_primary/language_models
    """

    def __init__(
        self,
        *,
        settings: Mapping[str, Any],
        engine: Mapping[str, Any],
        prompts: str,
        store: str,
        models: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._told: dict[str, Any] = {
            "teacher": settings, "engine": engine, "store": store, "models": models,
        }  # fmt: skip
        self._prompts = Path(prompts)
        self.metadata = metadata

    def load(self) -> PreparedTeacher:
        prompts = yaml.safe_load(self._prompts.read_text("utf-8"))
        return PreparedTeacher.model_validate(self._told | {"prompts": prompts})

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"backend": self._told["teacher"].get("backend"), "prompts": str(self._prompts)}
