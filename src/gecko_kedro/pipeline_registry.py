"""The pipelines by name. Each is imported only when it is asked for: torch alone costs seconds."""

from collections.abc import Callable
from importlib import import_module

from kedro.pipeline import Pipeline

STAGES = ("synthesize", "mine", "relabel", "pretrain", "finetune", "evaluate")
SUMS = {
    "fret": ("synthesize", "mine", "relabel"),
    "train": ("pretrain", "finetune", "evaluate"),
    "__default__": STAGES,
}

CHECKS = ("guard", "parity")  # beside the road: of a finished model, and of this project


def _stage(name: str) -> Pipeline:
    create: Callable[[], Pipeline] = import_module(
        f"gecko_kedro.pipelines.{name}.pipeline"
    ).create_pipeline
    return create()


def register_pipelines() -> dict[str, Pipeline]:
    """Six stages, their sums ``fret``, ``train`` and ``__default__`` (all of them), and checks."""
    stages = {name: _stage(name) for name in STAGES}
    sums = {
        name: sum((stages[part] for part in parts), Pipeline([])) for name, parts in SUMS.items()
    }
    return stages | sums | {name: _stage(name) for name in CHECKS}
