"""One point of the sweep: a model between base and tuned, scored."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from gecko_kedro import evaluation
from gecko_kedro.params import EncoderParams, EvaluateParams


def score_point(
    weight: float,
    tuned: str,
    tasks: Sequence[evaluation.Task],
    *,
    cache: Path,
    encoder_params: EncoderParams,
    params: EvaluateParams,
) -> evaluation.ScoreTable:
    """The model with ``weight`` of the tuned weights, at full width, on all tasks.

    The base (0) is scored as in evaluate, with its own prompts or none; every other point gets the
    templates that the tuned model was trained with. Scores are cached by the digest of the weights.
    """
    with tempfile.TemporaryDirectory(prefix="gecko-guard-") as folder:
        reference = _reference(weight, tuned, Path(folder), encoder_params)
        encoder = evaluation.EncoderUnderTest(
            name="base" if weight == 0 else f"guard-{weight:g}",
            reference=reference,
            templates="own" if weight == 0 else encoder_params.templates,
            dims=(max(params.dimensions),),
            max_seq_length=encoder_params.max_seq_length,
            batch_size=encoder_params.batch_size,
            device=encoder_params.device,
            dtype=encoder_params.dtype,
        )
        return evaluation.evaluate_encoder(encoder, tasks, cache_root=cache)


def _reference(weight: float, tuned: str, folder: Path, encoder_params: EncoderParams) -> str:
    from gecko_kedro.encoder.merging import interpolate_encoders
    from gecko_kedro.encoder.saving import save_encoder

    if weight in {0, 1}:
        return tuned if weight == 1 else encoder_params.reference
    base, model = (encoder_params.load(ref, for_training=True) for ref in (None, tuned))
    place = folder / "encoder"
    save_encoder(interpolate_encoders(base, model, tuned_share=weight), place)
    return str(place)
