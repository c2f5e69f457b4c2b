"""What can be set about an estimate."""

from typing import Annotated

from pydantic import Field

from gecko_kedro.base.settings import Count, Limit, Seed, Settings


class EstimateSettings(Settings):
    """How much is tried before a run is estimated, and a size to estimate on paper."""

    documents: Count = 2000
    texts: Count = 64
    queries: Count = 8
    training_rows: Annotated[int, Field(ge=2)] = 8
    passages: Limit = None
    seed: Seed = 7
