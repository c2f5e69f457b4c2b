"""What a scoring run gives: main scores, scores of single queries, failures and records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

SCORES_SCHEMA = pl.Schema(
    {
        "model": pl.String,
        "dimension": pl.Int64,  # null: the model has none (BM25)
        "task": pl.String,
        "type": pl.String,  # Retrieval, STS, ...
        "metric": pl.String,  # as mteb calls it: ndcg_at_10, cosine_spearman, ...
        "main": pl.Boolean,  # whether it is the task's main score
        "score": pl.Float64,  # 0 to 1 (correlations from -1)
    }
)

PER_QUERY_SCHEMA = pl.Schema(
    {
        "model": pl.String(),
        "dimension": pl.Int64(),
        "task": pl.String(),
        "query_id": pl.String(),  # of a task without queries: the number of its row
        "score": pl.Float64(),  # its share of the main score; STS and pairs: the similarity
        "gold": pl.Float64(),  # null but for STS and pairs: the score or label to be met
        "top_ids": pl.List(pl.String),  # the ten best passages, best first; null without passages
    }
)

FAILURES_SCHEMA = pl.Schema(
    {
        "model": pl.String,
        "dimension": pl.Int64,  # null: at all of them
        "task": pl.String,
        "status": pl.String,  # failed, or skipped where its data cannot be fetched
        "error": pl.String,
    }
)

# What a result was made with: enough to make it again.
RECORDS_SCHEMA = pl.Schema(
    {
        "model": pl.String,
        "task": pl.String,
        "type": pl.String,
        "reference": pl.String,  # the model's folder or hub id; what a baseline is made of
        "model_revision": pl.String,  # a digest of weights, configuration, templates and length
        "data_revision": pl.String,  # a digest of the data, or the revision on the hub
        "templates": pl.String,
        "prompt": pl.String,  # the task in the template; null where no template is used
        "symmetric": pl.Boolean,
        "dtype": pl.String,  # like templates, length and device: null for BM25 and the hybrid
        "max_seq_length": pl.Int64,
        "device": pl.String,
        "seed": pl.Int64,  # mteb's, of the samples it draws
        "versions": pl.String,
    }
)

BM25 = "bm25"
HYBRID = "hybrid"
_TABLES = ("scores", "per_query", "failures", "records")


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
        return {name: getattr(self, name) for name in _TABLES}


def concat_scores(tables: Sequence[ScoreTable]) -> ScoreTable:
    """One table out of several."""
    every = [ScoreTable(), *tables]
    joined = {name: pl.concat(getattr(one, name) for one in every) for name in _TABLES}
    return replace(ScoreTable.of(joined), encoded=sum(table.encoded for table in every))
