"""The ablate pipeline."""

from gecko_kedro.pipelines.ablate.pipeline import create_pipeline

__all__ = ["create_pipeline"]
