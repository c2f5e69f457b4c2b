"""One point of the sweep: a model between base and tuned, scored."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from gecko_kedro import evaluation
from gecko_kedro.encoder.settings import LoadSettings


def score_point(
    weight: float,
    tuned: str,
    tasks: Sequence[evaluation.Task],
    *,
    cache: Path,
    load: LoadSettings,
    templates: Literal["gecko", "own"],
    dimension: int,
) -> evaluation.ScoreTable:
    """The model with ``weight`` of the tuned weights, at full width, on all tasks.

    The base (0) is scored as in evaluate, with its own prompts or none; every other point gets the
    templates that the tuned model was trained with. Scores are cached by the digest of the weights.
    """
    with tempfile.TemporaryDirectory(prefix="gecko-guard-") as folder:
        encoder = evaluation.EncoderUnderTest(
            name="base" if weight == 0 else f"guard-{weight:g}",
            load=load.of(_reference(weight, tuned, Path(folder), load)),
            templates="own" if weight == 0 else templates,
            dims=(dimension,),
        )
        return evaluation.evaluate_encoder(encoder, tasks, cache_root=cache)


def _reference(weight: float, tuned: str, folder: Path, load: LoadSettings) -> str:
    from gecko_kedro.encoder.merging import interpolate_encoders
    from gecko_kedro.encoder.saving import save_encoder

    if weight in {0, 1}:
        return tuned if weight == 1 else load.reference
    base, model = (load.load(ref, for_training=True) for ref in (None, tuned))
    place = folder / "encoder"
    save_encoder(interpolate_encoders(base, model, tuned_share=weight), place)
    return str(place)
