"""From the arrays of a search to the candidate table, the seed passage forced in."""

import numpy as np
import polars as pl

from gecko_kedro.fret.schemas import CANDIDATE, empty_table


def candidates_with_seeds(
    queries: pl.DataFrame,
    *,
    passage_ids: pl.Series,
    ids: np.ndarray,
    scores: np.ndarray,
    seed_scores: np.ndarray,
    likelihoods: np.ndarray | None = None,
    seed_likelihoods: np.ndarray | None = None,
) -> pl.DataFrame:
    """CANDIDATE rows of each query, best first (section 4.3 of the paper: the seed is among them).

    ``ids`` (q, N) int64 are rows of ``passage_ids``, -1 where there are fewer passages than N;
    ``scores`` (q, N) float32; ``seed_scores`` (q,) the inner product of a query with its seed
    passage, NaN for a query without one. A seed that the search missed takes the place of the last
    candidate, with its true score: N stays what it is. ``likelihoods`` (q, N) and
    ``seed_likelihoods`` (q,) are ``retrieval.score_less_popularity`` of the same; both or neither.
    """
    if queries.is_empty() or ids.shape[1] == 0:
        return empty_table(CANDIDATE)
    if likelihoods is None or seed_likelihoods is None:
        likelihoods, seed_likelihoods = np.full(ids.shape, np.nan), np.full(len(ids), np.nan)
    found = ids >= 0
    rows, columns = np.nonzero(found)
    table = pl.DataFrame(
        {
            "query_id": queries["query_id"].gather(rows),
            "passage_id": passage_ids.gather(ids[rows, columns]),
            "retriever_rank": (columns + 1).astype(np.int32),
            "retriever_score": scores[rows, columns].astype(np.float32),
            "retriever_likelihood": likelihoods[rows, columns].astype(np.float32),
            "last": columns == found.sum(axis=1)[rows] - 1,
        }
    )
    seeds = queries.select(
        "query_id",
        pl.col("passage_id").alias("seed_id"),
        pl.Series("seed_score", seed_scores.astype(np.float32)),
        pl.Series("seed_likelihood", seed_likelihoods.astype(np.float32)),
    )
    table = table.join(seeds, on="query_id", how="left", maintain_order="left")
    has_seed = (pl.col("passage_id") == pl.col("seed_id")).any().over("query_id")
    missing = pl.col("seed_id").is_not_null() & pl.col("seed_score").is_not_nan() & ~has_seed
    replace = pl.col("last") & missing.fill_null(value=False)
    with_seeds = table.with_columns(
        pl.when(replace).then(seed).otherwise(name).alias(name)
        for name, seed in (
            ("passage_id", "seed_id"), ("retriever_score", "seed_score"),
            ("retriever_likelihood", "seed_likelihood"),
        )
    ).with_columns(
        pl.col("retriever_likelihood").fill_nan(None),
        is_seed=(pl.col("passage_id") == pl.col("seed_id")).fill_null(value=False),
    )  # fmt: skip
    return with_seeds.select(list(CANDIDATE))


def candidate_metrics(candidates: pl.LazyFrame, *, n_candidates: int) -> dict[str, float]:
    """How well the seed retriever finds the seeds: shares at rank 1 and within N, mean rank."""
    ranks = pl.col("retriever_rank").filter("is_seed")
    found = candidates.select(
        queries=pl.col("query_id").n_unique(),
        seeds=pl.col("is_seed").sum(),
        seed_at_rank_1=(ranks == 1).mean(),
        seed_before_last=(ranks < n_candidates).mean(),
        mean_seed_rank=ranks.mean(),
    ).collect()
    return {
        name: float(value) for name, value in found.row(0, named=True).items() if value is not None
    }
