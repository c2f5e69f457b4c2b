"""The tables of a retrieval task: column names and types, in order."""

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
