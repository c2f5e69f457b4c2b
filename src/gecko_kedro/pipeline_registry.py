"""The pipelines by name. Each is imported only when it is asked for: torch alone costs seconds."""

from collections.abc import Callable
from importlib import import_module

from kedro.pipeline import Pipeline

STAGES = ("synthesize", "mine", "relabel", "pretrain", "finetune", "evaluate")
# Beside the road: of a teacher, of a finished model, of the recipe's parts, of this project, and of
# a run that is still to come.
EXTRAS = ("label_quality", "guard", "ablate", "parity", "estimate")
SUMS = {
    "fret": ("synthesize", "mine", "relabel"),
    "train": ("pretrain", "finetune", "evaluate"),
    "__default__": STAGES,
}


def _stage(name: str) -> Pipeline:
    create: Callable[[], Pipeline] = import_module(
        f"gecko_kedro.pipelines.{name}.pipeline"
    ).create_pipeline
    return create()


def register_pipelines() -> dict[str, Pipeline]:
    """Six stages, their sums ``fret``, ``train`` and ``__default__`` (all six), and the extras."""
    stages = {name: _stage(name) for name in STAGES}
    extras = {name: _stage(name) for name in EXTRAS}
    sums = {
        name: sum((stages[part] for part in parts), Pipeline([])) for name, parts in SUMS.items()
    }
    return stages | sums | extras
