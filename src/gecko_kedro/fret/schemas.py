"""The tables of FRet: column names and types, in order.

What each column of FRET means is in docs/fret-format.md. A column is nullable only where
the comment says so.
"""

from collections.abc import Mapping, Sequence

import polars as pl

from gecko_kedro.base.errors import InputError


def _schema(**types: pl.DataType | type[pl.DataType]) -> pl.Schema:
    return pl.Schema(types)


QUERY = _schema(
    query_id=pl.String,  # unique
    task=pl.String,  # free-form, as the teacher wrote it
    task_name=pl.String,  # one of tasks.TASK_NAMES
    query=pl.String,
    passage_id=pl.String,  # the seed; null for a row of a query log
    origin=pl.String,  # synthetic | log
)

CANDIDATE = _schema(
    query_id=pl.String,
    passage_id=pl.String,
    retriever_rank=pl.Int32,  # 1-based
    retriever_score=pl.Float32,  # inner product of query and passage vector
    # That less the passage's popularity, which the rank is by then; null where it is off.
    retriever_likelihood=pl.Float32,
    is_seed=pl.Boolean,
)

POPULARITY = pl.Schema({"passage_id": pl.String, "popularity": pl.Float32})

JUDGEMENT = _schema(
    query_id=pl.String,
    passage_id=pl.String,
    query_likelihood=pl.Float64,  # log-likelihood; null where this ranker did not run
    label_log_likelihoods=pl.List(pl.Float64),  # of each label, worst first; the same
    query_cut=pl.Boolean,  # the teacher read the query without its end
    passage_cut=pl.Boolean,
)

RANKING = _schema(
    **(CANDIDATE | JUDGEMENT),
    relevance=pl.Float64,  # one number of the labels: fusion.RelevanceScore; nullable
    query_likelihood_rank=pl.Int32,  # null where not every candidate has a score
    relevance_rank=pl.Int32,  # the same
    fused_score=pl.Float64,
    fused_rank=pl.Int32,  # 1 is the best
)

FRET = _schema(
    query_id=pl.String,  # unique
    task=pl.String,
    task_name=pl.String,
    query=pl.String,
    seed_id=pl.String,  # null for a row of a query log
    positive_id=pl.String,
    positive_title=pl.String,  # nullable
    positive=pl.String,
    negative_id=pl.String,  # the three are null together, with negative="none"
    negative_title=pl.String,
    negative=pl.String,
    positive_is_seed=pl.Boolean,  # null for a row of a query log
    candidate_ids=pl.List(pl.String),  # in fused order, as are all lists below
    fused_ranks=pl.List(pl.Int32),
    query_likelihoods=pl.List(pl.Float64),  # null elements where this ranker did not run
    relevances=pl.List(pl.Float64),
    label_log_likelihoods=pl.List(pl.List(pl.Float64)),
    retriever_scores=pl.List(pl.Float32),
    retriever_ranks=pl.List(pl.Int32),
)


def empty_table(schema: pl.Schema) -> pl.DataFrame:
    """A table of no rows with the columns and types of ``schema``."""
    return pl.DataFrame(schema=schema)


def table(rows: Sequence[Mapping[str, object]], schema: pl.Schema) -> pl.DataFrame:
    """Rows that have the columns of ``schema``, as a table in its order and types."""
    return pl.DataFrame(list(rows), schema=schema, orient="row")


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
