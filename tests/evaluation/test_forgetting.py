import numpy as np
import polars as pl
import pytest

from gecko_kedro.base.errors import InputError
from gecko_kedro.evaluation.comparing.forgetting import (
    SWEEP_SCHEMA,
    choose_weight,
    query_side,
    sweep_table,
)
from gecko_kedro.evaluation.comparing.settings import SweepSettings
from gecko_kedro.evaluation.reporting.plots import forgetting_curve
from gecko_kedro.evaluation.scoring.score_table import PER_QUERY_SCHEMA, SCORES_SCHEMA, ScoreTable

GROUPS = [f"document{n % 40}" for n in range(400)]


def point(weight: float, *, target: float, general: float) -> ScoreTable:
    """Made-up scores: ``target`` and ``general`` are what this point gains on the base."""
    rng = np.random.default_rng(7)
    rows, means = [], []
    for task, gain in (("own", target), ("other", general)):
        single = rng.uniform(0.2, 0.6, 400) + gain
        keys = {"model": f"w{weight}", "dimension": 32, "task": task}
        means.append({**keys, "type": "Retrieval", "metric": "ndcg_at_10", "main": True,
                      "score": float(single.mean())})  # fmt: skip
        rows += [
            {**keys, "query_id": f"q{n:03}", "score": float(value), "gold": None, "top_ids": None}
            for n, value in enumerate(single)
        ]
    return ScoreTable(
        pl.DataFrame(means, schema=SCORES_SCHEMA), pl.DataFrame(rows, schema=PER_QUERY_SCHEMA)
    )


def sweep(points: dict[float, ScoreTable]) -> pl.DataFrame:
    groups = pl.DataFrame(
        {"task": "own", "query_id": [f"q{n:03}" for n in range(400)], "group": GROUPS}
    )
    return sweep_table(points, groups, ["own"], SweepSettings(resamples=200, seed=3))


@pytest.fixture
def table() -> pl.DataFrame:
    """The more tuned, the better on the target; the fully tuned model forgot."""
    return sweep(
        {
            0: point(0, target=0, general=0),
            0.5: point(0.5, target=0.1, general=0.0),
            1: point(1, target=0.2, general=-0.05),
        }
    )


def test_the_best_point_without_a_loss_on_general_tasks_is_chosen(table: pl.DataFrame) -> None:
    assert table.schema == SWEEP_SCHEMA
    assert choose_weight(table) == 0.5
    kept = sweep({0: point(0, target=0, general=0), 1: point(1, target=0.2, general=0.0)})
    assert choose_weight(kept) == 1
    forgot = sweep({0: point(0, target=0, general=0), 1: point(1, target=0.2, general=-0.1)})
    assert choose_weight(forgot) == 0


def test_a_tuned_model_that_lost_its_target_is_not_chosen() -> None:
    worse = sweep({0: point(0, target=0, general=0), 1: point(1, target=-0.1, general=0.1)})
    assert choose_weight(worse) == 0


def test_differences_are_those_to_the_base_on_each_side(table: pl.DataFrame) -> None:
    for row in table.iter_rows(named=True):
        gain = {("own", 0.5): 0.1, ("own", 1.0): 0.2, ("other", 1.0): -0.05}
        expected = gain.get((row["task"], row["weight"]), 0.0)
        assert row["difference"] == pytest.approx(expected)
    counts = table.filter(task="own", weight=1.0)
    assert counts["queries"].sum() == 400
    assert counts["groups"].sum() == 40
    assert counts["groups"].min() > 5


def test_all_queries_of_a_document_are_on_one_side_for_ever() -> None:
    sides = {group: query_side(group, fraction=0.5, seed=3) for group in GROUPS}
    assert set(sides.values()) == {"choose", "report"}
    assert sides == {group: query_side(group, fraction=0.5, seed=3) for group in GROUPS}
    assert {query_side(group, fraction=1.0, seed=3) for group in GROUPS} == {"choose"}


def test_without_the_base_or_a_target_nothing_can_be_chosen(table: pl.DataFrame) -> None:
    with pytest.raises(InputError, match="the base"):
        sweep({1: point(1, target=0, general=0)})
    with pytest.raises(InputError, match="at least one target"):
        choose_weight(table.filter(kind="general"))


def test_the_curve_shows_the_side_that_nothing_was_chosen_on(table: pl.DataFrame) -> None:
    marked = table.with_columns(chosen=pl.col("weight") == 0.5)
    figure = forgetting_curve(marked)
    assert len(figure.data) == 2
    assert list(figure.data[0].x) == [0, 0.5, 1]
    reported = table.filter(task="own", side="report").sort("weight")["difference"]
    own = next(line for line in figure.data if line.name.startswith("own"))
    assert list(own.y) == pytest.approx(reported.to_list())
    assert not forgetting_curve(SWEEP_SCHEMA.to_frame()).data
