"""Unified examples, mixtures, losses and the trainer."""

from gecko_kedro.training.examples import from_fret, from_pairs, from_seed_queries
from gecko_kedro.training.mixture import mix_examples
from gecko_kedro.training.trainer import HISTORY_SCHEMA, TrainResult, train_encoder

__all__ = [
    "HISTORY_SCHEMA",
    "TrainResult",
    "from_fret",
    "from_pairs",
    "from_seed_queries",
    "mix_examples",
    "train_encoder",
]
