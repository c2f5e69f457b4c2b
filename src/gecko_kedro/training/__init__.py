"""Unified examples, mixtures, losses and the trainer."""

from gecko_kedro.training.adaptation import AdaptedModel, adapt_language_model
from gecko_kedro.training.converters.project import from_fret, from_pairs, from_seed_queries
from gecko_kedro.training.examples import EXAMPLE_SCHEMA
from gecko_kedro.training.mixture import mix_examples
from gecko_kedro.training.negatives import add_mined_negatives
from gecko_kedro.training.query_pairs import heldout_pairs, query_pairs, source_query_pairs
from gecko_kedro.training.settings import LoraSettings, LossSettings, TrainSettings
from gecko_kedro.training.sources import Sources, SourceSettings, rates_of, read_source
from gecko_kedro.training.trainer import HISTORY_SCHEMA, TrainResult, train_encoder, train_or_keep

__all__ = [
    "EXAMPLE_SCHEMA",
    "HISTORY_SCHEMA",
    "AdaptedModel",
    "LoraSettings",
    "LossSettings",
    "SourceSettings",
    "Sources",
    "TrainResult",
    "TrainSettings",
    "adapt_language_model",
    "add_mined_negatives",
    "from_fret",
    "from_pairs",
    "from_seed_queries",
    "heldout_pairs",
    "mix_examples",
    "query_pairs",
    "rates_of",
    "read_source",
    "source_query_pairs",
    "train_encoder",
    "train_or_keep",
]  # fmt: skip
