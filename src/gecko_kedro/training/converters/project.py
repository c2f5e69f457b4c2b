"""The project's own tables in the unified format: natural pairs, FRet, seed queries."""

import polars as pl

from gecko_kedro.corpus.quarantine import Checked
from gecko_kedro.training.examples import EXAMPLE_SCHEMA, NEGATIVE, check_examples


def from_pairs(pairs: pl.DataFrame) -> Checked:
    """Natural pairs (PAIR) without negatives or titles, as data sets named by the kind of pair."""
    renamed = pairs.select("query", dataset="kind", task_name="task", positive="text")
    return _checked(renamed, where="natural pairs")


def from_fret(fret: pl.DataFrame, *, passages: pl.DataFrame | None = None) -> Checked:
    """FRet rows with their relabelled positive and hard negative, as the data set ``fret``.

    With ``passages`` (PASSAGE) a row has all its other candidates as further negatives, behind the
    hard negative, and the teacher's scores of all of them: what distillation needs. A score is the
    sum of the log-likelihoods that there are, of the query and of the relevance label.
    """
    negative = pl.struct(title="negative_title", text="negative")
    rows = fret.with_columns(
        negatives=pl.when(pl.col("negative").is_not_null())
        .then(pl.concat_list(negative))
        .otherwise(pl.lit([], pl.List(NEGATIVE)))
    )
    if passages is not None:
        rows = _with_all_candidates(rows, passages)
    return _checked(rows, dataset=pl.lit("fret"), where="fret")


def from_seed_queries(queries: pl.DataFrame, passages: pl.DataFrame) -> Checked:
    """(query, the passage it was written for): what the seed retriever is trained on.

    Queries of a log have no seed and are left out (not bad rows); a query whose seed is not among
    ``passages`` is quarantined as ``empty_positive``.
    """
    seeded = queries.filter(pl.col("passage_id").is_not_null())
    seeds = passages.select("passage_id", positive_title="title", positive="text")
    rows = seeded.join(seeds, on="passage_id", how="left", maintain_order="left")
    return _checked(rows, dataset=pl.lit("seed_queries"), where="seed queries")


def _checked(rows: pl.DataFrame, *, where: str, **columns: pl.Expr) -> Checked:
    """EXAMPLE rows of ``rows`` and ``columns``; of what neither has there is none."""
    given = {
        "negatives": pl.lit([], EXAMPLE_SCHEMA["negatives"]),
        "symmetric": pl.lit(value=False),
        **{name: pl.col(name) for name in EXAMPLE_SCHEMA if name in rows.columns},
        **columns,
    }
    chosen = {n: given.get(n, pl.lit(None, dtype)) for n, dtype in EXAMPLE_SCHEMA.items()}
    return check_examples(rows.select(**chosen), where=where)


def _with_all_candidates(rows: pl.DataFrame, passages: pl.DataFrame) -> pl.DataFrame:
    """``negatives`` with every other candidate behind, and ``teacher_scores``; order is kept."""
    lists = ["candidate_ids", "query_likelihoods", "relevances"]
    texts = passages.select("title", "text", candidate_ids="passage_id")
    is_negative = pl.col("candidate_ids") == pl.col("negative_id")
    each = (
        rows.select("query_id", "positive_id", "negative_id", *lists)
        .explode(lists)
        .join(texts, on="candidate_ids", how="left", maintain_order="left")
        .with_columns(
            score=pl.sum_horizontal("query_likelihoods", "relevances"),
            is_positive=pl.col("candidate_ids") == pl.col("positive_id"),
            is_negative=is_negative.fill_null(value=False),
        )
        .sort("is_positive", "is_negative", descending=True, maintain_order=True)
    )
    others = ~pl.col("is_positive") & pl.col("text").is_not_null()
    grouped = each.group_by("query_id").agg(
        negatives=pl.struct("title", "text").filter(others),
        teacher_scores=pl.col("score").filter(pl.col("is_positive") | others),
    )
    return rows.drop("negatives").join(grouped, on="query_id", how="left", maintain_order="left")
