"""What a scoring run gives: main scores, scores of single queries, failures and records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from gecko_kedro.evaluation.scoring.schemas import (
    FAILURES_SCHEMA,
    PER_QUERY_SCHEMA,
    RECORDS_SCHEMA,
    SCORES_SCHEMA,
)

BM25 = "bm25"
HYBRID = "hybrid"


@dataclass(frozen=True)
class ScoreTable:
    """SCORES_SCHEMA, PER_QUERY_SCHEMA, what failed (FAILURES_SCHEMA) and how it was made (RECORDS).

    ``encoded`` counts the texts that went through the model: 0 when all came from the cache.
    """

    scores: pl.DataFrame = field(default_factory=SCORES_SCHEMA.to_frame)
    per_query: pl.DataFrame = field(default_factory=PER_QUERY_SCHEMA.to_frame)
    failures: pl.DataFrame = field(default_factory=FAILURES_SCHEMA.to_frame)
    records: pl.DataFrame = field(default_factory=RECORDS_SCHEMA.to_frame)
    encoded: int = 0

    @classmethod
    def of(cls, tables: Mapping[str, pl.DataFrame]) -> "ScoreTable":
        """Again from the four tables by name."""
        return cls(tables["scores"], tables["per_query"], tables["failures"], tables["records"])

    def tables(self) -> dict[str, pl.DataFrame]:
        """Its four tables by name, for a catalog to keep."""
        names = ("scores", "per_query", "failures", "records")
        return {name: getattr(self, name) for name in names}


def concat_scores(tables: Sequence[ScoreTable]) -> ScoreTable:
    """One table out of several."""
    every = [ScoreTable(), *tables]
    return ScoreTable(
        pl.concat(table.scores for table in every),
        pl.concat(table.per_query for table in every),
        pl.concat(table.failures for table in every),
        pl.concat(table.records for table in every),
        encoded=sum(table.encoded for table in every),
    )
