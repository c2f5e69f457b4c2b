"""The mine pipeline."""

from gecko_kedro.pipelines.mine.pipeline import create_pipeline

__all__ = ["create_pipeline"]
