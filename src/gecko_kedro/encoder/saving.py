"""Write an encoder so that there is the whole folder or none, and plain libraries can load it."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError

from gecko_kedro.base.errors import write_error
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
    with _replacing(Path(folder)) as staging:
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
    with _replacing(Path(folder)) as staging:
        shutil.copytree(source, staging)
        (staging / "README.md").write_text(card, encoding="utf-8")


@contextmanager
def _replacing(target: Path) -> Iterator[Path]:
    """A place beside ``target`` that takes its place, flushed, when the block ends well."""
    staging = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        shutil.rmtree(staging, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        yield staging
        flush_folder(staging)
        _replace(staging, target)
    except (OSError, SafetensorError) as error:
        raise write_error(target, error) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def flush_folder(folder: Path) -> None:
    """Flush every file under ``folder`` to the disk."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def _replace(staging: Path, target: Path) -> None:
    # A folder cannot be renamed over a non-empty one: the old one steps aside first, and is
    # restored should the second rename fail.
    if not target.exists():
        staging.rename(target)
        return
    aside = target.with_name(f".{target.name}.{os.getpid()}.old")
    target.rename(aside)
    try:
        staging.rename(target)
    except OSError:
        aside.rename(target)
        raise
    shutil.rmtree(aside)
