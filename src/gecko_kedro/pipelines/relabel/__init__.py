"""The relabel pipeline."""

from gecko_kedro.pipelines.relabel.pipeline import create_pipeline

__all__ = ["create_pipeline"]
