"""Reciprocal rank fusion of the rankers: R = sum over rankers of 1 / (k + rank) (appendix A)."""

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

import polars as pl

from gecko_kedro.errors import InputError
from gecko_kedro.fret.ranking import Ranker
from gecko_kedro.fret.schemas import RANKING, require_columns

_SCORED = ("query_likelihood", "relevance")


def fuse_rankings(
    candidates: pl.DataFrame,
    judgements: pl.DataFrame,
    *,
    k: float,
    rankers: Sequence[Ranker],
) -> pl.DataFrame:
    """RANKING rows: for each query its candidates, best fused rank first; queries in order.

    Ranks start at 1, by falling score; of equal scores the better retriever rank comes first, and
    so it is with equal fused scores (with the paper's k = 0, ranks (1, 2) and (2, 1) both make
    1.5). The paper fuses query likelihood and relevance; ``retriever`` adds the retriever's own
    rank as a third. The result does not depend on the order of the rows of either table, nor on
    the order of ``rankers``.
    Raises InputError where a judgement that ``rankers`` needs is missing or not finite.
    """
    require_columns(judgements, ["query_id", "passage_id", *_SCORED], where="fuse_rankings")
    _refuse_rankers(rankers)
    queries = candidates.select(pl.col("query_id").unique(maintain_order=True)).with_row_index("_q")
    joined = (
        candidates.join(judgements, on=["query_id", "passage_id"], how="left", validate="m:1")
        .join(queries, on="query_id")
        # The passage id settles the order of a table in which a retriever rank occurs twice.
        .sort("_q", "retriever_rank", "passage_id")
    )
    for ranker in _SCORED:
        if ranker in rankers:
            _refuse_missing(joined, ranker)
    ranked = joined.with_columns(
        _rank(ranker) if ranker in rankers else pl.lit(None, pl.Int32).alias(f"{ranker}_rank")
        for ranker in _SCORED
    )
    used = [f"{ranker}_rank" for ranker in (*_SCORED, "retriever") if ranker in rankers]
    scores = [_reciprocal_sum(ranks, k) for ranks in ranked.select(used).iter_rows()]
    fused = ranked.with_columns(pl.Series("fused_score", scores, dtype=pl.Float64))
    return (
        fused.with_columns(_ordinal("fused_score").alias("fused_rank"))
        .sort("_q", "fused_rank")
        .select([pl.col(name).cast(dtype) for name, dtype in RANKING.items()])
    )


@lru_cache(maxsize=1 << 16)
def _reciprocal_sum(ranks: tuple[int, ...], k: float) -> float:
    """sum of 1 / (k + rank), rounded once: in floats 1/10 + 1/15 and 1/12 + 1/12 would not tie."""
    return float(sum(1 / (Fraction(k) + rank) for rank in ranks))


def _rank(score: str) -> pl.Expr:
    return _ordinal(score).alias(f"{score}_rank")


def _ordinal(score: str) -> pl.Expr:
    """1-based place within the query by falling score; rows are in the retriever's order."""
    return pl.col(score).rank("ordinal", descending=True).over("query_id").cast(pl.Int32)


def _refuse_rankers(rankers: Sequence[Ranker]) -> None:
    known = {*_SCORED, "retriever"}
    if not rankers or len(set(rankers)) < len(rankers) or not known.issuperset(rankers):
        raise InputError(
            "relabel.rankers",
            expected=f"some of {', '.join(sorted(known))}, each once",
            got=list(rankers),
            fix="The paper's are query_likelihood and relevance.",
        )


def _refuse_missing(joined: pl.DataFrame, ranker: str) -> None:
    bad = joined.filter(~pl.col(ranker).is_finite().fill_null(value=False))
    if not bad.is_empty():
        first = bad.select("query_id", "passage_id", ranker).row(0, named=True)
        raise InputError(
            f"fuse_rankings, {ranker}",
            expected="a finite score for every candidate",
            got=f"{bad.height} without one, the first {first}",
            fix="Judge again with this ranker, or leave it out of relabel.rankers.",
        )
