"""What the labels look like: numbers and figures."""

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gecko_kedro.fret.information import information
from gecko_kedro.fret.schemas import FRET, RANKING, require_columns
from gecko_kedro.fret.settings import SCORED

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_SUSPICIOUS = 0.95  # of the positive's retriever score: NV-Retriever's bound for false negatives
# The metrics that are shares of something.
AUDIT_SHARES = frozenset(
    ("replaced_seeds", "suspected_false_negatives", "false_negative_candidates", "cut_queries",
     "cut_passages", "same_first",
     *(f"{ranker}_{name}" for ranker in SCORED
       for name in ("distinct", "ties", "constant", "as_retriever")))
)  # fmt: skip
_COLOURS = {"positive": "#1f9d86", "negative": "#d0563f", "other": "#8b93a1"}


def audit_labels(
    rankings: pl.DataFrame, fret: pl.DataFrame
) -> tuple[dict[str, float], list["Figure"]]:
    """Numbers over all rankings (RANKING) and the examples made of them (FRET), and figures.

    The figures: scores by role, the retriever's ranks, and how far the two rankers agree.

    ``replaced_seeds`` is the share of positives that are not the seed, of the examples that have
    one (the paper: about 0.15). ``kendall_tau`` is the mean over queries of tau-b between query
    likelihood and relevance; absent where one of them did not run, as any number is that has no
    rows to be made from. ``suspected_false_negatives`` are negatives whose retriever score is above
    0.95 of the positive's; ``false_negative_candidates`` are candidates after rank 1 whose grade is
    as good as the positive's. ``cut_queries`` and ``cut_passages`` are shares of the judgements for
    which the teacher did not read the end. What each ranker tells (``Information``) is there as
    ``relevance_ties`` and so on.
    """
    require_columns(rankings, list(RANKING), where="audit_labels, rankings")
    require_columns(fret, list(FRET), where="audit_labels, fret")
    roles = _with_roles(rankings, fret)
    figures = [_score_plot(roles), _rank_plot(roles), _agreement_plot(rankings)]
    return _metrics(rankings, fret, roles), figures


def kendall_tau(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Tau-b of two score vectors; 0 where either is constant, for it then orders nothing."""
    a = np.sign(first[:, None] - first[None, :])  # (n, n)
    b = np.sign(second[:, None] - second[None, :])
    scale = np.sqrt((a * a).sum() * (b * b).sum())
    return float((a * b).sum() / scale) if scale else 0.0


def _with_roles(rankings: pl.DataFrame, fret: pl.DataFrame) -> pl.DataFrame:
    chosen = fret.select("query_id", "positive_id", "negative_id")
    return rankings.join(chosen, on="query_id", how="inner", maintain_order="left").with_columns(
        pl.when(pl.col("passage_id") == pl.col("positive_id"))
        .then(pl.lit("positive"))
        .when(pl.col("passage_id") == pl.col("negative_id"))
        .then(pl.lit("negative"))
        .otherwise(pl.lit("other"))
        .alias("role")
    )


def _metrics(rankings: pl.DataFrame, fret: pl.DataFrame, roles: pl.DataFrame) -> dict[str, float]:
    negatives = _against_positive(roles, "retriever_score").filter(role="negative")
    others = _against_positive(roles, "relevance")
    told = [information(rankings, ranker) for ranker in SCORED]
    metrics: dict[str, float | None] = {
        "queries": float(rankings["query_id"].n_unique()),
        "judgements": float(rankings.height),
        "examples": float(fret.height),
        "examples_with_seed": float(fret["seed_id"].is_not_null().sum()),
        "replaced_seeds": _mean(~fret["positive_is_seed"].drop_nulls()),
        "positive_retriever_rank": _mean(roles.filter(role="positive")["retriever_rank"]),
        "negative_retriever_rank": _mean(roles.filter(role="negative")["retriever_rank"]),
        "suspected_false_negatives": _mean(
            negatives["retriever_score"] > _SUSPICIOUS * negatives["best"]
        ),
        "false_negative_candidates": _mean((others["relevance"] >= others["best"]).drop_nulls()),
        "cut_queries": _mean(rankings["query_cut"].drop_nulls()),
        "cut_passages": _mean(rankings["passage_cut"].drop_nulls()),
        **_agreement(rankings),
        **{k: v for one in told if one is not None for k, v in one.as_metrics().items()},
    }
    return {name: value for name, value in metrics.items() if value is not None}


def _mean(values: pl.Series) -> float | None:
    return None if values.is_empty() else float(values.cast(pl.Float64).sum() / len(values))


def _against_positive(roles: pl.DataFrame, score: str) -> pl.DataFrame:
    """The candidates that are not the positive, with its ``score`` as ``best``."""
    positive = roles.filter(role="positive").select("query_id", best=score)
    return roles.filter(pl.col("role") != "positive").join(positive, on="query_id")


def _agreement(rankings: pl.DataFrame) -> dict[str, float | None]:
    """How far the two rankers agree, over the queries of at least two candidates."""
    groups = _judged_by_both(rankings)
    ranks = groups.select("query_likelihood_rank", "relevance_rank").iter_rows()
    same_first = [first.index(1) == second.index(1) for first, second in ranks]
    return {
        "kendall_tau": _mean(pl.Series(_taus(groups), dtype=pl.Float64)),
        "same_first": _mean(pl.Series(same_first, dtype=pl.Boolean)),
    }


def _judged_by_both(rankings: pl.DataFrame) -> pl.DataFrame:
    """One row for each query of at least two candidates that both rankers judged."""
    columns = ("query_likelihood", "relevance", "query_likelihood_rank", "relevance_rank")
    judged = rankings.drop_nulls(columns).group_by("query_id", maintain_order=True).agg(columns)
    return judged.filter(pl.col("relevance").list.len() > 1)


def _taus(groups: pl.DataFrame) -> list[float]:
    pairs = groups.select("query_likelihood", "relevance").iter_rows()
    return [kendall_tau(np.asarray(first), np.asarray(second)) for first, second in pairs]


def _score_plot(roles: pl.DataFrame) -> "Figure":
    """Distributions of both judgements, per role."""
    from plotly.subplots import make_subplots

    titles = {"query_likelihood": "query likelihood", "relevance": "relevance"}
    figure = make_subplots(rows=1, cols=2, subplot_titles=list(titles.values()))
    for column, score in enumerate(titles, start=1):
        for role, colour in _COLOURS.items():
            values = roles.filter(role=role)[score].drop_nulls().to_list()
            figure.add_histogram(
                x=values, name=role, histnorm="probability", opacity=0.6, nbinsx=40,
                marker_color=colour, legendgroup=role, showlegend=column == 1, row=1, col=column,
            )  # fmt: skip
        figure.update_xaxes(title_text="log-likelihood", row=1, col=column)
    figure.update_layout(
        title="What the teacher thinks of positives, negatives and the rest",
        barmode="overlay", yaxis_title="share", template="plotly_white",
    )  # fmt: skip
    return figure


def _rank_plot(roles: pl.DataFrame) -> "Figure":
    """Where the retriever had the positives and negatives; first bar of the positives: kept."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for role in ("positive", "negative"):
        ranks = roles.filter(role=role)["retriever_rank"].value_counts().sort("retriever_rank")
        figure.add_bar(
            x=ranks["retriever_rank"].to_list(), y=ranks["count"].to_list(), name=role,
            marker_color=_COLOURS[role],
        )  # fmt: skip
    replaced = roles.filter(pl.col("role") == "positive", ~pl.col("is_seed")).height
    figure.update_layout(
        title=f"Retriever rank of positives and negatives ({replaced} positives are not the seed)",
        xaxis_title="rank of the retriever", yaxis_title="queries", template="plotly_white",
    )  # fmt: skip
    return figure


def _agreement_plot(rankings: pl.DataFrame) -> "Figure":
    """Kendall's tau-b of the two rankers, over queries."""
    import plotly.graph_objects as go

    figure = go.Figure()
    if taus := _taus(_judged_by_both(rankings)):
        figure.add_histogram(x=taus, xbins={"start": -1, "end": 1.05, "size": 0.1})
    figure.update_layout(
        title="Agreement of query likelihood and relevance",
        xaxis_title="Kendall's tau-b of a query's candidates", yaxis_title="queries",
        template="plotly_white",
    )  # fmt: skip
    return figure
