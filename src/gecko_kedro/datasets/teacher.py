"""A teacher as a node takes it: settings, prompts, and the store of its replies."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from gecko_kedro.datasets._base import ReadOnlyDataset
from gecko_kedro.fret.prepared import PreparedTeacher


class TeacherDataset(ReadOnlyDataset[PreparedTeacher]):
    """Loads the teacher of ``settings``, to be opened on ``engine`` where there is work for it.

    ``prompts`` is the YAML file of the prompts, ``store`` the folder of the replies.

    Example::

        params:work.relabel_teacher:
          type: gecko_kedro.datasets.TeacherDataset
          settings: ${params:teacher}
          engine: ${params:engine}
          prompts: ${conf:prompts/gecko.yml}
          store: data/03_primary/response_store
    """

    def __init__(
        self,
        *,
        settings: Mapping[str, Any],
        engine: Mapping[str, Any],
        prompts: str,
        store: str,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._told: dict[str, Any] = {"teacher": settings, "engine": engine, "store": store}
        self._prompts = Path(prompts)
        self.metadata = metadata

    def load(self) -> PreparedTeacher:
        prompts = yaml.safe_load(self._prompts.read_text("utf-8"))
        return PreparedTeacher.model_validate(self._told | {"prompts": prompts})

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"backend": self._told["teacher"].get("backend"), "prompts": str(self._prompts)}
