"""How well a labeller ranks, on queries with human judgements and without training (table 6)."""

from collections.abc import Mapping
from typing import Any, Literal

import polars as pl

from gecko_kedro.base.settings import Count, Seed, Settings
from gecko_kedro.evaluation.comparing.bootstrap import INTERVAL_COLUMNS, paired, resampled

LABEL_QUALITY_SCHEMA = pl.Schema(
    {
        "ranking": pl.String,
        "measure": pl.String,  # ndcg_at_10 | accuracy
        "mean": pl.Float64,  # of 0 to 1
        **INTERVAL_COLUMNS,  # of the difference from the first ranking, the retriever's own
    }
)


class LabelQualitySettings(Settings):
    """Which half of the queries is measured, and by how many resamples of the bootstrap."""

    fold: Literal[0, 1] | None = None
    resamples: Count = 10_000
    seed: Seed = 7


def label_quality(
    rankings: Mapping[str, pl.DataFrame],
    groups: pl.DataFrame,
    settings: LabelQualitySettings = LabelQualitySettings(),
) -> pl.DataFrame:
    """LABEL_QUALITY_SCHEMA: each ranking against the first one, by the paired bootstrap.

    ``rankings``: by name, the scores of single queries as ``scoring.score_ranking`` gives them.
    ``groups``: query_id, group.
    """
    base = next(iter(rankings.values()))
    groups = groups.select("query_id", "group").unique("query_id", keep="first")
    by_measure = base.select("task").unique().join(groups, how="cross")
    rows: list[dict[str, Any]] = []
    for name, own in rankings.items():
        pairs = paired(own, base, by_measure)
        for measure in base["task"].unique(maintain_order=True):
            part = pairs.filter(task=measure)
            sure = resampled(part, measure, resamples=settings.resamples, seed=settings.seed)
            rows.append({"ranking": name, "measure": measure, "mean": part["a"].mean(),
                         **sure.interval().columns()})  # fmt: skip
    return pl.DataFrame(rows, schema=LABEL_QUALITY_SCHEMA)


def label_quality_metrics(table: pl.DataFrame) -> dict[str, float]:
    """``<ranking>.<measure>`` and its difference and interval, for MLflow."""
    wanted = ("mean", "difference", "low", "high")
    return {
        f"{row['ranking'].replace(' + ', '_')}.{row['measure']}.{name}": row[name]
        for row in table.iter_rows(named=True)
        for name in wanted
    }
