"""The label_quality pipeline."""

from gecko_kedro.pipelines.label_quality.pipeline import create_pipeline

__all__ = ["create_pipeline"]
