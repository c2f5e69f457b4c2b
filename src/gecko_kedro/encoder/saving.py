"""Write an encoder so that there is the whole folder or none, and plain libraries can load it."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from gecko_kedro.base.files import atomic_path
from gecko_kedro.encoder.card import model_card
from gecko_kedro.encoder.loading import quiet_loading
from gecko_kedro.encoder.record import RECORD_FILE, stages_of

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


def save_encoder(
    model: "SentenceTransformer",
    folder: str | Path,
    *,
    prompts: Mapping[str, str] | None = None,
) -> None:
    """Write ``model`` in the sentence-transformers layout, with safetensors, into ``folder``.

    Beside the model's own files there are ``gecko.json`` (its training stages, see ``record``) and
    a short ``README.md`` made from the stages. ``prompts`` replace the
    model's; they make ``SentenceTransformer(folder).encode(texts, prompt_name="query")`` work.
    A temporary sibling is written, flushed to the disk and renamed; a model already there is
    replaced at that last moment. A full disk or a missing permission raises InputError.
    """
    if prompts is not None:
        model.prompts = dict(prompts)
    with atomic_path(Path(folder)) as staging:
        staging.mkdir()
        with quiet_loading():
            model.save_pretrained(str(staging), create_model_card=False)
        stages = stages_of(model)
        record = json.dumps({"stages": stages}, indent=2, ensure_ascii=False)
        (staging / RECORD_FILE).write_text(record + "\n", encoding="utf-8")
        (staging / "README.md").write_text(model_card(model, stages), encoding="utf-8")


def export_encoder(source: str | Path, folder: str | Path, *, card: str) -> None:
    """Copy the encoder in the folder ``source`` to ``folder``, as it is, with ``card`` as README.

    Whole or not at all, as ``save_encoder``.
    """
    with atomic_path(Path(folder)) as staging:
        shutil.copytree(source, staging)
        (staging / "README.md").write_text(card, encoding="utf-8")
