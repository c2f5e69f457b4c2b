"""The embedding model: input format, loading, saving and encoding."""

from gecko_kedro.encoder.encoding import BatchSize, encode_texts, truncate_vectors
from gecko_kedro.encoder.formatting import own_templates, render_passage, render_query
from gecko_kedro.encoder.loading import load_encoder
from gecko_kedro.encoder.merging import average_encoders, interpolate_encoders
from gecko_kedro.encoder.saving import save_encoder
from gecko_kedro.encoder.settings import LoadSettings

__all__ = [
    "BatchSize", "LoadSettings", "average_encoders", "encode_texts", "interpolate_encoders",
    "load_encoder", "own_templates", "render_passage", "render_query", "save_encoder",
    "truncate_vectors",
]  # fmt: skip
