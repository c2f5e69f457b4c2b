"""The estimate pipeline."""

from gecko_kedro.pipelines.estimate.pipeline import create_pipeline

__all__ = ["create_pipeline"]
