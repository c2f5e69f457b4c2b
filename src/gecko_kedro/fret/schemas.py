"""The tables of FRet: what `synthesize` and `relabel` hand on.

Each schema is a mapping of column to polars type, in column order. The meaning of every column of
FRET is in docs/fret-format.md.
"""

from collections.abc import Mapping, Sequence

import polars as pl

from gecko_kedro.errors import InputError

Schema = Mapping[str, pl.DataType | type[pl.DataType]]

QUERY: Schema = {
    "query_id": pl.String,
    "task": pl.String,  # free-form, as the teacher wrote it
    "task_name": pl.String,  # one of fret.tasks.TASK_NAMES
    "query": pl.String,
    "passage_id": pl.String,  # the seed; null for a row of a query log
    "origin": pl.String,  # synthetic | log
}

CANDIDATE: Schema = {
    "query_id": pl.String,
    "passage_id": pl.String,
    "retriever_rank": pl.Int32,  # 1-based
    "retriever_score": pl.Float32,  # inner product of query and passage vector
    "is_seed": pl.Boolean,
}

JUDGEMENT: Schema = {
    "query_id": pl.String,
    "passage_id": pl.String,
    "query_likelihood": pl.Float64,  # log-likelihood; null where this ranker did not run
    "relevance": pl.Float64,
}

RANKING: Schema = {
    **CANDIDATE,
    "query_likelihood": pl.Float64,
    "relevance": pl.Float64,
    "query_likelihood_rank": pl.Int32,
    "relevance_rank": pl.Int32,
    "fused_score": pl.Float64,
    "fused_rank": pl.Int32,  # 1 is the best
}

FRET: Schema = {
    "query_id": pl.String,
    "task": pl.String,
    "task_name": pl.String,
    "query": pl.String,
    "seed_id": pl.String,
    "positive_id": pl.String,
    "positive_title": pl.String,
    "positive": pl.String,
    "negative_id": pl.String,
    "negative_title": pl.String,
    "negative": pl.String,
    "positive_is_seed": pl.Boolean,
    "candidate_ids": pl.List(pl.String),  # in fused order, as are the four lists below
    "fused_ranks": pl.List(pl.Int32),
    "query_likelihoods": pl.List(pl.Float64),
    "relevances": pl.List(pl.Float64),
    "retriever_scores": pl.List(pl.Float32),
}

QUARANTINE: Schema = {
    "where": pl.String,
    "row_id": pl.String,
    "reason": pl.String,  # snake_case
    "detail": pl.String,
    "record": pl.String,  # the whole row as JSON, texts cut to 2,000 characters
}


def empty_table(schema: Schema) -> pl.DataFrame:
    """A table of no rows with the columns and types of ``schema``."""
    return pl.DataFrame(schema=dict(schema))


def table(rows: Sequence[Mapping[str, object]], schema: Schema) -> pl.DataFrame:
    """Rows of exactly the columns of ``schema``, in its order and types."""
    return pl.DataFrame(list(rows), schema=dict(schema), orient="row")


def require_columns(frame: pl.DataFrame, columns: Sequence[str], *, where: str) -> None:
    """Raise InputError unless ``frame`` has every one of ``columns``."""
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise InputError(
            where,
            expected=f"a table with the columns {', '.join(columns)}",
            got=frame.columns,
            fix=f"Add or rename: {', '.join(missing)}.",
        )
