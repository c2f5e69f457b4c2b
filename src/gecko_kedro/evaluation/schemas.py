"""The tables of the evaluation room: column names and types, in order."""

import polars as pl

CORPUS_SCHEMA = pl.Schema(
    {"id": pl.String, "title": pl.String, "text": pl.String}
)  # title nullable

QUERIES_SCHEMA = pl.Schema(
    {
        "id": pl.String,
        "text": pl.String,
        "group": pl.String,  # resampled together by the bootstrap: the package, else the query id
    }
)

QRELS_SCHEMA = pl.Schema(
    {
        "query_id": pl.String,
        "passage_id": pl.String,
        "score": pl.Int64,  # above 0: relevant; the higher the better
    }
)

SCORES_SCHEMA = pl.Schema(
    {
        "model": pl.String,
        "dimension": pl.Int64,  # null: the model has none (BM25)
        "task": pl.String,
        "metric": pl.String,  # ndcg_at_10, recall_at_20, mrr_at_10
        "score": pl.Float64,  # mean over queries, 0 to 1
    }
)

PER_QUERY_SCHEMA = pl.Schema(
    {
        "model": pl.String(),
        "dimension": pl.Int64(),
        "task": pl.String(),
        "query_id": pl.String(),
        "ndcg_at_10": pl.Float64(),
        "top_ids": pl.List(pl.String),  # the ten best passages, best first
    }
)

FAILURES_SCHEMA = pl.Schema(
    {"model": pl.String, "dimension": pl.Int64, "task": pl.String, "error": pl.String}
)

# Reported for each model, dimension and task; the first is the main score.
METRICS = ("ndcg_at_10", "recall_at_20", "mrr_at_10")
