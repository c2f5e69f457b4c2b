"""Fusion of the rankers: by reciprocal ranks (appendix A of the paper) or by their scores."""

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

import numpy as np
import polars as pl

from gecko_kedro.base.errors import InputError
from gecko_kedro.fret.schemas import JUDGEMENT, RANKING, require_columns
from gecko_kedro.fret.settings import RANKERS, SCORED, FuseSettings, Ranker, RelevanceScore


def fuse_rankings(
    candidates: pl.DataFrame,
    judgements: pl.DataFrame,
    settings: FuseSettings = FuseSettings(),
    *,
    rankers: Sequence[Ranker] = RANKERS,
) -> pl.DataFrame:
    """RANKING rows: for each query its candidates, best fused rank first; queries in order.

    Relevance is one number of the labels' log-likelihoods: that of the best label (``top_grade``,
    the paper's), or the mean grade, 0 for the worst label, under the labels' probabilities made to
    add up to 1 (``expected_grade``, Zhuang et al. 2023).

    ``reciprocal_rank`` is the paper's: the sum over rankers of w / (k + rank) (Cormack et al.
    2009). ``standardised`` adds w times the score itself, less its mean over the query's candidates
    and divided by its standard deviation there (0 where all are equal); ``k`` has no part in it. It
    keeps by how much one candidate is better, which ranks lose (Bruch et al. 2023, arXiv
    2210.11934). w is 1 for a ranker that ``weights`` does not name. The retriever's score is its
    likelihood where the candidates have one.

    Ranks start at 1, by falling score; of equal scores the better retriever rank comes first, and
    so it is with equal fused scores (with the paper's k = 0, ranks (1, 2) and (2, 1) both make
    1.5). The paper fuses query likelihood and relevance; ``retriever`` adds the retriever's own
    rank as a third. A scored ranker that is not among ``rankers`` has its ranks too, where it has
    all scores. The result does not depend on the order of the rows of either table, nor on the
    order of ``rankers``.
    Raises InputError where a judgement that ``rankers`` needs is missing or not finite.
    """
    require_columns(judgements, list(JUDGEMENT), where="fuse_rankings")
    _refuse_rankers(rankers)
    queries = candidates.select(pl.col("query_id").unique(maintain_order=True)).with_row_index("_q")
    joined = (
        candidates.join(
            _with_relevance(judgements, settings.relevance_score),
            on=["query_id", "passage_id"],
            how="left",
            validate="m:1",
        )
        .join(queries, on="query_id")
        # The passage id settles the order of a table in which a retriever rank occurs twice.
        .sort("_q", "retriever_rank", "passage_id")
    )
    lacking = {r: joined.filter(~pl.col(r).is_finite().fill_null(value=False)) for r in SCORED}
    for ranker in SCORED:
        if ranker in rankers and not lacking[ranker].is_empty():
            raise _missing(lacking[ranker], ranker)
    ranked = joined.with_columns(
        (_ordinal(r) if lacking[r].is_empty() else pl.lit(None, pl.Int32)).alias(f"{r}_rank")
        for r in SCORED
    )
    used = [ranker for ranker in RANKERS if ranker in rankers]
    shares = tuple(Fraction(settings.weights.get(ranker, 1)) for ranker in used)
    if settings.method == "standardised":
        fused = ranked.with_columns(fused_score=_standardised_sum(used, shares))
    else:
        ranks = ranked.select(f"{ranker}_rank" for ranker in used).iter_rows()
        scores = [_reciprocal_sum(of_one, settings.k, shares) for of_one in ranks]
        fused = ranked.with_columns(pl.Series("fused_score", scores, dtype=pl.Float64))
    return (
        fused.with_columns(_ordinal("fused_score").alias("fused_rank"))
        .sort("_q", "fused_rank")
        .select([pl.col(name).cast(dtype) for name, dtype in RANKING.items()])
    )


def ranker_sets(rankers: Sequence[Ranker]) -> list[list[Ranker]]:
    """What to compare, of rankers that were asked: the retriever, each ranker, their fusions."""
    judged: list[Ranker] = [ranker for ranker in SCORED if ranker in rankers]
    sets: list[list[Ranker]] = [["retriever"], *([ranker] for ranker in judged)]
    if len(judged) > 1:
        sets.append(judged)
    return [*sets, [*judged, "retriever"]] if judged else sets


def _with_relevance(judgements: pl.DataFrame, score: RelevanceScore) -> pl.DataFrame:
    labels = judgements["label_log_likelihoods"]
    if score == "top_grade":
        return judgements.with_columns(labels.list.last().alias("relevance"))
    grades = [None if row is None else _expected_grade(row) for row in labels.to_list()]
    return judgements.with_columns(pl.Series("relevance", grades, dtype=pl.Float64))


def _expected_grade(log_likelihoods: list[float]) -> float:
    values = np.asarray(log_likelihoods)
    weights = np.exp(values - values.max())
    return float(weights @ np.arange(len(values)) / weights.sum())


@lru_cache(maxsize=1 << 16)
def _reciprocal_sum(ranks: tuple[int, ...], k: float, weights: tuple[Fraction, ...]) -> float:
    """sum of w / (k + rank), rounded once: in floats 1/10 + 1/15 and 1/12 + 1/12 would not tie."""
    return float(sum(w / (Fraction(k) + rank) for w, rank in zip(weights, ranks, strict=True)))


def _standardised_sum(rankers: Sequence[Ranker], weights: Sequence[Fraction]) -> pl.Expr:
    retriever = pl.coalesce("retriever_likelihood", "retriever_score").cast(pl.Float64)
    scores = (retriever if ranker == "retriever" else pl.col(ranker) for ranker in rankers)
    parts = [float(w) * _standardised(score) for w, score in zip(weights, scores, strict=True)]
    return pl.sum_horizontal(parts)


def _standardised(score: pl.Expr) -> pl.Expr:
    """Mean 0 and standard deviation 1 over the candidates of a query; 0 where all are equal."""
    # Between 0 and 1 first, which changes nothing else: the square of a tiny difference would be 0.
    unit = (score - score.min()) / (score.max() - score.min())
    spread = (unit - unit.mean()) / unit.std(ddof=0)
    return pl.when(score.max() > score.min()).then(spread).otherwise(0.0).over("query_id")


def _ordinal(score: str) -> pl.Expr:
    """1-based place within the query by falling score; rows are in the retriever's order."""
    return pl.col(score).rank("ordinal", descending=True).over("query_id").cast(pl.Int32)


def _refuse_rankers(rankers: Sequence[Ranker]) -> None:
    known = set(RANKERS)
    if not rankers or len(set(rankers)) < len(rankers) or not known.issuperset(rankers):
        raise InputError(
            "relabel.rankers",
            expected=f"some of {', '.join(sorted(known))}, each once",
            got=list(rankers),
            fix="The paper's are query_likelihood and relevance.",
        )


def _missing(bad: pl.DataFrame, ranker: str) -> InputError:
    first = bad.select("query_id", "passage_id", ranker).row(0, named=True)
    return InputError(
        f"fuse_rankings, {ranker}",
        expected="a finite score for every candidate",
        got=f"{bad.height} without one, the first {first}",
        fix="Judge again with this ranker, or leave it out of relabel.rankers.",
    )
