"""How an encoder came to be: one entry a training stage, kept with the model in ``gecko.json``."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gecko_kedro.base.errors import InputError
from gecko_kedro.encoder.model import Encoder

RECORD_FILE = "gecko.json"
_ATTRIBUTE = "gecko_stages"

Stage = dict[str, Any]


def stages_of(model: Encoder) -> list[Stage]:
    """The training stages behind ``model``, oldest first; none for a model made elsewhere."""
    return list(getattr(model, _ATTRIBUTE, []))


def set_stages(model: Encoder, stages: list[Stage]) -> None:
    """Say that ``model`` went through these stages."""
    setattr(model, _ATTRIBUTE, list(stages))


def add_stage(
    model: Encoder,
    name: str,
    *,
    settings: Mapping[str, Any],
    data_digests: Mapping[str, str],
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Append a stage: its resolved settings, a digest for each data set, and other facts.

    Everything must be writable as JSON.
    """
    stage = {"name": name, "settings": dict(settings), "data_digests": dict(data_digests)}
    set_stages(model, [*stages_of(model), stage | dict(facts or {})])


def read_stages(folder: str | Path) -> list[Stage]:
    """The stages in a saved model's ``gecko.json``; none where there is no such file."""
    path = Path(folder) / RECORD_FILE
    if not path.is_file():
        return []
    try:
        return list(json.loads(path.read_text(encoding="utf-8"))["stages"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            str(path),
            expected='JSON with a list under "stages"',
            got=str(error),
            fix="Restore the file, or delete it: the model itself does not need it.",
        ) from error
