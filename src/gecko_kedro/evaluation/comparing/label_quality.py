"""How well a labeller ranks, on queries with human judgements and without training (table 6)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl

from gecko_kedro.base.settings import Count, Limit, Seed, Settings
from gecko_kedro.corpus.splits import cap, stable_hash
from gecko_kedro.evaluation.comparing.bootstrap import paired_bootstrap
from gecko_kedro.evaluation.tasks.retrieval import RetrievalData

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_CUTOFF = 10
LABEL_QUALITY_SCHEMA = pl.Schema(
    {
        "ranking": pl.String,
        "measure": pl.String,  # ndcg_at_10 | accuracy
        "queries": pl.Int64,
        "mean": pl.Float64,  # of 0 to 1
        "difference": pl.Float64,  # from the first ranking, the retriever's own
        "low": pl.Float64,  # 95 % interval of the difference
        "high": pl.Float64,
        "p": pl.Float64,  # two-sided
    }
)


class JudgedSettings(Settings):
    """How many judged queries, and how many passages to find the relevant ones among."""

    max_queries: Limit = 500
    max_passages: Count = 3000
    seed: Seed = 7


class LabelQualitySettings(Settings):
    """Which half of the queries is measured, and by how many resamples of the bootstrap."""

    fold: Literal[0, 1] | None = None
    resamples: Count = 10_000
    seed: Seed = 7


def label_quality(
    rankings: Mapping[str, pl.DataFrame],
    qrels: pl.DataFrame,
    settings: LabelQualitySettings = LabelQualitySettings(),
) -> pl.DataFrame:
    """LABEL_QUALITY_SCHEMA: each ranking against the first one, by the paired bootstrap.

    ``rankings``: by name, (query_id, passage_id, fused_rank) of the same candidates. ``qrels``:
    query_id, group, passage_id, score; above 0 is relevant, the gain is the score. ``ndcg_at_10``
    is trec_eval's, so that a relevant passage that is no candidate counts against all rankings.
    ``accuracy`` is the share of queries whose first candidate is relevant: how often p+ is right.
    With a ``fold`` only one half of the queries is measured, by the hash of their ids.
    """
    qrels = half_of(qrels, settings)
    groups = qrels.group_by("query_id", maintain_order=True).agg(pl.col("group").first())
    scored = {name: _per_query(rows, qrels, groups["query_id"]) for name, rows in rankings.items()}
    base = next(iter(scored.values()))
    rows: list[dict[str, Any]] = []
    for name, own in scored.items():
        for measure, values in own.items():
            sure = paired_bootstrap(
                values, base[measure], groups["group"].to_list(),
                resamples=settings.resamples, seed=settings.seed,
            )  # fmt: skip
            rows.append(
                {"ranking": name, "measure": measure, "queries": sure.queries,
                 "mean": float(np.mean(values)), "difference": sure.difference,
                 "low": sure.low, "high": sure.high, "p": sure.p}
            )  # fmt: skip
    return pl.DataFrame(rows, schema=LABEL_QUALITY_SCHEMA)


def sample_judged(
    data: RetrievalData, settings: JudgedSettings = JudgedSettings()
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Queries (query_id, query, group), passages (passage_id, title, text) and their judgements.

    Queries are drawn by the hash of their ids. Every judged passage of theirs is there; others by
    the same draw fill up to ``max_passages``. The judgements carry the query's group.
    """
    seed = settings.seed
    named = data.queries.rename({"id": "passage_id"})
    queries = cap(named, limit=settings.max_queries, seed=seed).select(
        query_id="passage_id", query="text", group="group"
    )
    qrels = data.qrels.join(
        queries.select("query_id", "group"), on="query_id", maintain_order="left"
    )
    passages = data.corpus.rename({"id": "passage_id"})
    judged = passages.join(qrels, on="passage_id", how="semi", maintain_order="left")
    others = passages.join(qrels, on="passage_id", how="anti", maintain_order="left")
    room = max(0, settings.max_passages - judged.height)
    return queries, pl.concat([judged, cap(others, limit=room, seed=seed)]), qrels


def half_of(qrels: pl.DataFrame, settings: LabelQualitySettings) -> pl.DataFrame:
    """The judgements of one half of the queries, by the hash of their ids; all without a fold."""
    if settings.fold is None:
        return qrels
    halves = [stable_hash(query_id, seed=settings.seed) % 2 for query_id in qrels["query_id"]]
    return qrels.filter(pl.Series(halves) == settings.fold)


def label_quality_text(table: pl.DataFrame) -> str:
    """The table as lines of text."""
    rows = [("ranking", "measure", "mean", "difference and 95 % interval")]
    rows += [
        (row["ranking"], row["measure"], f"{row['mean']:.3f}",
         f"{row['difference']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]")
        for row in table.iter_rows(named=True)
    ]  # fmt: skip
    return "\n".join(f"{a:<42} {b:<11} {c:>5}  {d}" for a, b, c, d in rows)


def label_quality_metrics(table: pl.DataFrame) -> dict[str, float]:
    """``<ranking>.<measure>`` and its difference and interval, for MLflow."""
    wanted = ("mean", "difference", "low", "high")
    return {
        f"{row['ranking'].replace(' + ', '_')}.{row['measure']}.{name}": row[name]
        for row in table.iter_rows(named=True)
        for name in wanted
    }


def label_quality_plot(table: pl.DataFrame) -> "Figure":
    """The difference of each ranking from the retriever's own, with its interval."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for measure, label in (("ndcg_at_10", "nDCG@10"), ("accuracy", "accuracy of the positive")):
        rows = table.filter(measure=measure)[1:]  # the first is the retriever itself
        figure.add_scatter(
            x=rows["difference"].to_list(), y=rows["ranking"].to_list(), name=label, mode="markers",
            error_x={
                "type": "data", "symmetric": False,
                "array": (rows["high"] - rows["difference"]).to_list(),
                "arrayminus": (rows["difference"] - rows["low"]).to_list(),
            },
        )  # fmt: skip
    figure.add_vline(x=0)
    figure.update_layout(
        title="The labeller's rankings against the retriever's own",
        xaxis_title="difference, with 95 % interval", template="plotly_white",
    )  # fmt: skip
    return figure


def _per_query(
    ranking: pl.DataFrame, qrels: pl.DataFrame, query_ids: pl.Series
) -> dict[str, list[float]]:
    """nDCG@10 and accuracy of each of ``query_ids``, in their order."""
    import pytrec_eval

    judged: dict[str, dict[str, int]] = {}
    for query_id, passage_id, score in qrels.select("query_id", "passage_id", "score").iter_rows():
        judged.setdefault(query_id, {})[passage_id] = score
    run: dict[str, dict[str, float]] = {query_id: {} for query_id in judged}
    first: dict[str, str] = {}
    columns = ranking.select("query_id", "passage_id", "fused_rank")
    for query_id, passage_id, rank in columns.iter_rows():
        if query_id in run:
            run[query_id][passage_id] = -float(rank)
            if rank == 1:
                first[query_id] = passage_id
    evaluated = pytrec_eval.RelevanceEvaluator(judged, {f"ndcg_cut.{_CUTOFF}"}).evaluate(run)
    right = {q: float(judged[q].get(first.get(q, ""), 0) > 0) for q in judged}
    return {
        "ndcg_at_10": [evaluated.get(q, {}).get(f"ndcg_cut_{_CUTOFF}", 0.0) for q in query_ids],
        "accuracy": [right[q] for q in query_ids],
    }
