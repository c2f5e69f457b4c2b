"""What can be set about comparisons: of models, of points of a sweep, with published scores."""

from typing import Annotated

from pydantic import Field

from gecko_kedro.base.settings import Count, Limit, Seed, Settings, Share

Tolerance = Annotated[float, Field(ge=0.0)]


class CompareSettings(Settings):
    """The paired bootstrap."""

    resamples: Count = 10_000
    seed: Seed = 7


class ShowSettings(Settings):
    """How much the report shows."""

    moved_queries: Count = 10


class SweepSettings(CompareSettings):
    """The points between base and tuned, and the share of query groups to choose one on."""

    weights: Annotated[list[Share], Field(min_length=2)] = [0.0, 0.25, 0.5, 0.75, 1.0]
    choose_fraction: Share = 0.5


class WeightSettings(Settings):
    """The point that is taken; None for the best one without a loss."""

    weight: Share | None = None


class AblationSettings(Settings):
    """Which seeds, at what size, measured on what."""

    seeds: Annotated[list[Seed], Field(min_length=1)] = [1, 2, 3]
    max_rows: Limit = 2000
    max_steps: Limit = None
    tasks: list[str] | None = None


class ParitySettings(Settings):
    """Which published scores, and how far ours may be from them, in percent."""

    published: list[str] = ["all-MiniLM-L6-v2, 2022", "all-MiniLM-L6-v2, results"]
    tolerance_by_type: dict[str, Tolerance] = {
        "STS": 0.05,
        "PairClassification": 0.05,
        "Retrieval": 0.05,
        "Reranking": 0.05,
        "Summarization": 0.05,
        "Classification": 1.5,
        "Clustering": 1.5,
    }
    tolerance_by_task: dict[str, Tolerance] = {"EmotionClassification": 2.5}
