"""The guard pipeline."""

from gecko_kedro.pipelines.guard.pipeline import create_pipeline

__all__ = ["create_pipeline"]
