"""The parity pipeline."""

from gecko_kedro.pipelines.parity.pipeline import create_pipeline

__all__ = ["create_pipeline"]
