"""The table and the figure of an ablation."""

import numpy as np
import polars as pl
import pytest

from gecko_kedro.evaluation.comparing.ablation import (
    ABLATION_TABLE_SCHEMA,
    AblationRow,
    ablation_metrics,
    main_scores,
    query_scores,
    result_table,
    summarise_ablations,
)
from gecko_kedro.evaluation.comparing.bootstrap import paired_bootstrap
from gecko_kedro.evaluation.reporting.plots import ablation_differences
from gecko_kedro.evaluation.reporting.terminal import ablation_text
from gecko_kedro.evaluation.scoring.score_table import PER_QUERY_SCHEMA, SCORES_SCHEMA, ScoreTable

QUERIES = 60
GROUPS = pl.DataFrame(
    {
        "task": "own",
        "query_id": [f"q{n:02}" for n in range(QUERIES)],
        "group": [f"g{n % 20}" for n in range(QUERIES)],
    }
)
ROWS = {
    "recipe": AblationRow(description="all", reference=None),
    "less": AblationRow(
        description="less", reference="recipe", paper={"Retrieval": -1.5}, source="table 3"
    ),
    "never": AblationRow(description="nothing to do", reference="recipe"),
}


def result(gain: float, seed: int, *, kind: str = "Retrieval", dims: tuple[int, ...] = (32, 8)):
    """A model's scores on one task: ``gain`` on top of noise of its own."""
    scores, single = [], []
    for dimension in dims:
        rng = np.random.default_rng([seed, dimension])
        values = rng.uniform(0.3, 0.6, QUERIES) + gain
        keys = {"model": "ablation", "dimension": dimension, "task": "own"}
        gold = np.arange(QUERIES, dtype=float) if kind == "STS" else [None] * QUERIES
        scores.append({**keys, "type": kind, "metric": "main", "main": True,
                       "score": float(values.mean())})  # fmt: skip
        scores.append({**keys, "type": kind, "metric": "other", "main": False, "score": 0.0})
        single += [
            {**keys, "query_id": f"q{n:02}", "score": float(value), "gold": truth, "top_ids": None}
            for n, (value, truth) in enumerate(zip(values, gold, strict=True))
        ]
    table = ScoreTable(
        pl.DataFrame(scores, schema=SCORES_SCHEMA),
        pl.DataFrame(single, schema=PER_QUERY_SCHEMA),
    )
    return result_table(table, examples=10, steps=2)


def labelled(row: str, seed: int, table: pl.DataFrame) -> pl.DataFrame:
    return table.select(pl.lit(row).alias("row"), pl.lit(seed, pl.Int64).alias("seed"), pl.all())


def results(**options: object) -> pl.DataFrame:
    made = [
        labelled(row, seed, result(gain, seed + len(row), **options))  # type: ignore[arg-type]
        for row, gain in (("recipe", 0.1), ("less", 0.0))
        for seed in (1, 2, 3)
    ]
    return pl.concat(made)


def summary(found: pl.DataFrame, **changes: object) -> pl.DataFrame:
    options = {"notes": {"never": "left out: no set"}, "resamples": 400, "seed": 5}
    return summarise_ablations(
        main_scores(found),
        query_scores(found),
        GROUPS,
        ROWS,
        **(options | changes),  # type: ignore[arg-type]
    )


def test_a_row_has_the_mean_and_the_spread_of_its_seeds() -> None:
    found = results()
    table = summary(found)
    assert table.schema == ABLATION_TABLE_SCHEMA
    scores = main_scores(found).filter(row="less", dimension=32)["score"]
    assert len(scores) == 3
    row = table.filter(row="less", dimension=32).to_dicts()[0]
    assert row["mean"] == pytest.approx(scores.mean())
    assert row["deviation"] == pytest.approx(np.std(scores.to_numpy(), ddof=1))
    assert row["seeds"] == 3


def test_one_seed_has_no_spread() -> None:
    table = summary(results().filter(seed=1))
    assert table.filter(row="recipe")["deviation"].to_list() == [None, None]


def test_the_interval_is_that_of_the_mean_over_the_seeds() -> None:
    found = results()
    row = summary(found).filter(row="less", dimension=32).to_dicts()[0]
    means = (
        query_scores(found).filter(dimension=32)
        .group_by("row", "query_id").agg(pl.col("query_score").mean())
        .join(GROUPS, on="query_id").sort("query_id")
    )  # fmt: skip
    ours, reference = (means.filter(row=name)["query_score"] for name in ("less", "recipe"))
    groups = means.filter(row="less")["group"].to_list()
    expected = paired_bootstrap(
        ours.to_numpy(), reference.to_numpy(), groups, resamples=400, seed=5
    )
    assert row["difference"] == pytest.approx(expected.difference)
    assert (row["low"], row["high"]) == pytest.approx((expected.low, expected.high))
    assert (row["queries"], row["groups"], row["verdict"]) == (QUERIES, 20, "worse")


def test_a_row_that_is_its_reference_does_not_differ() -> None:
    same = pl.concat(
        [labelled(row, seed, result(0.1, seed)) for row in ("recipe", "less") for seed in (1, 2)]
    )
    row = summary(same).filter(row="less", dimension=32).to_dicts()[0]
    assert (row["difference"], row["low"], row["high"]) == (0, 0, 0)
    assert row["verdict"] == "not shown"


def test_correlations_are_resampled_as_correlations() -> None:
    found = results(kind="STS")
    row = summary(found).filter(row="less", dimension=32).to_dicts()[0]
    assert row["low"] < row["high"]
    assert row["paper_difference"] is None  # the paper's figure is of retrieval


def test_the_papers_difference_stands_beside_the_largest_dimension_only() -> None:
    table = summary(results())
    beside = table.filter(pl.col("paper_difference").is_not_null())
    assert beside.select("row", "dimension", "paper_difference", "source").rows() == [
        ("less", 32, pytest.approx(-0.015), "table 3")
    ]


def test_a_row_that_was_left_out_says_why() -> None:
    table = summary(results())
    row = table.filter(row="never").to_dicts()[0]
    assert row["note"] == "left out: no set"
    assert row["mean"] is None
    assert "never: left out: no set" in ablation_text(table)


def test_a_seed_that_the_reference_lacks_is_not_compared() -> None:
    found = results().filter(~((pl.col("row") == "recipe") & (pl.col("seed") != 2)))
    scores = main_scores(found).filter(dimension=32)
    row = summary(found).filter(row="less", dimension=32).to_dicts()[0]
    two = {name: scores.filter(row=name, seed=2)["score"][0] for name in ("less", "recipe")}
    assert row["difference"] == pytest.approx(two["less"] - two["recipe"])


def test_a_task_without_single_scores_has_a_difference_and_no_interval() -> None:
    none = pl.lit(None)
    found = (
        results()
        .with_columns(query_id=none.cast(pl.String), query_score=none.cast(pl.Float64))
        .unique(maintain_order=True)
    )
    row = summary(found).filter(row="less", dimension=32).to_dicts()[0]
    assert row["difference"] < 0
    assert row["low"] is None


def test_the_figure_shows_ours_and_the_papers() -> None:
    figure = ablation_differences(summary(results()))
    ours, paper = figure.data
    assert list(ours.y) == ["less"]
    assert ours.error_x.array[0] > 0
    assert ours.error_x.arrayminus[0] > 0
    assert list(paper.x) == [pytest.approx(-1.5)]
    assert "table 3" in paper.customdata[0]


def test_nothing_to_compare_is_an_empty_figure() -> None:
    assert not ablation_differences(ABLATION_TABLE_SCHEMA.to_frame()).data


def test_the_metrics_are_all_numbers() -> None:
    metrics = ablation_metrics(summary(results()))
    assert metrics["less.own.32.paper_difference"] == pytest.approx(-0.015)
    assert all(isinstance(value, float) for value in metrics.values())
    assert not any(name.startswith("never") for name in metrics)
