"""What can be set about mining candidates; conf/base/parameters/mine.yml says why."""

from typing import Annotated, Literal

from pydantic import Field

from gecko_kedro.base.settings import EXECUTION, Count, Limit, Seed, Settings, Share

SearchDevice = Literal["auto", "cpu", "cuda"]
VectorType = Literal["float32", "float16", "bfloat16"]


class EmbedSettings(Settings):
    """How texts become vectors on the disk."""

    max_seq_length: Count = 128
    vectors_dtype: VectorType = "float32"
    shard_size: Count = 1000


class RouteSettings(Settings):
    """When the search is approximate, and how well it has to do."""

    exact_max_pairs: Annotated[float, Field(ge=0.0)] = 1e13
    min_recall: Share = 0.95
    recall_queries: Count = 256
    seed: Seed = 7


class PopularitySettings(Settings):
    """Whether candidates are ranked by the query's likelihood under the passage."""

    temperature: Annotated[float, Field(gt=0.0)] | None = None
    max_queries: Count = 100_000


class SearchSettings(Settings):
    """Which candidates a query gets."""

    n_candidates: Annotated[int, Field(ge=2)] = 20
    lexical_candidates: bool = False
    route_constant: Annotated[float, Field(ge=0.0)] = 60.0
    popularity_pool: Count = 200
    shard_size: Count = 4096
    # The same bits on each device (``open_exact``).
    device: SearchDevice = Field("auto", json_schema_extra=EXECUTION)
    threads: Limit = Field(None, json_schema_extra=EXECUTION)
