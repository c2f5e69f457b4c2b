"""Models against the base: the numbers, the words for them, and the figures."""

from collections.abc import Callable

import polars as pl
import pytest

from gecko_kedro.base.errors import InputError
from gecko_kedro.evaluation.comparing.comparison import (
    DIFFERENCES_SCHEMA,
    GROUPS_SCHEMA,
    RESULTS_SCHEMA,
    Comparison,
    compare,
)
from gecko_kedro.evaluation.comparing.verdicts import headline
from gecko_kedro.evaluation.reporting.moved import moved_queries
from gecko_kedro.evaluation.reporting.plots import (
    dimension_curve,
    group_differences,
    loss_curves,
    plot_training,
)
from gecko_kedro.evaluation.reporting.terminal import as_text
from gecko_kedro.evaluation.scoring.score_table import PER_QUERY_SCHEMA
from gecko_kedro.evaluation.tasks.retrieval import RetrievalData
from gecko_kedro.evaluation.tasks.tables import to_tables


def test_the_comparison_has_a_row_for_each_result_and_base_first(comparison: Comparison) -> None:
    assert comparison.results.schema == RESULTS_SCHEMA
    assert comparison.fret.schema == DIFFERENCES_SCHEMA
    assert comparison.by_group.schema == GROUPS_SCHEMA
    order = comparison.results.select("model", "dimension").rows()
    assert order == [
        ("base", 384), ("base", 128), ("bm25", None), ("pretrained", 384), ("pretrained", 128),
        ("gecko", 384), ("gecko", 128),
    ]  # fmt: skip
    assert comparison.results.filter(model="base")["difference"].is_null().all()
    verdicts = dict(comparison.results.filter(pl.col("dimension").fill_null(384) == 384)
                    .select("model", "verdict").iter_rows())  # fmt: skip
    assert verdicts == {"base": None, "bm25": "worse", "pretrained": "better", "gecko": "better"}
    assert comparison.by_group.height == 25


def test_differences_are_those_of_the_means_at_the_same_dimension(comparison: Comparison) -> None:
    means = {(row["model"], row["dimension"]): row for row in comparison.results.to_dicts()}
    for (model, dimension), row in means.items():
        if model != "base":
            partner = means["base", dimension or 384]
            expected = row["score"] - partner["score"]
            assert row["difference"] == pytest.approx(expected)
            assert row["low"] < row["difference"] < row["high"]
    for row in comparison.fret.to_dicts():
        gain = (means["gecko", row["dimension"]]["score"]
                - means["pretrained", row["dimension"]]["score"])  # fmt: skip
        assert row["difference"] == pytest.approx(gain)


def test_a_comparison_without_pretrained_or_with_one_group_still_stands(
    made_up_scores: Callable,
) -> None:
    table, groups = made_up_scores({"base": 0.0, "gecko": 0.1}, groups=1)
    found = compare(table, groups, base="base", tuned="gecko", pretrained=None,
                    resamples=50, seed=1)  # fmt: skip
    assert found.fret.is_empty()
    assert found.results.filter(model="gecko")["verdict"].to_list() == ["not shown"] * 2
    assert "cannot be judged" in headline(found)


def test_a_missing_model_is_told(made_up_scores: Callable) -> None:
    table, groups = made_up_scores({"base": 0.0})
    with pytest.raises(InputError, match="scores of the model gecko"):
        compare(table, groups, base="base", tuned="gecko", pretrained=None, resamples=9, seed=1)


@pytest.mark.parametrize(
    ("shift", "said"),
    [(0.1, "is better than"), (-0.1, "is worse than"), (0.0, "is not shown to differ from")],
)
def test_the_headline_says_no_more_than_the_interval(
    made_up_scores: Callable, shift: float, said: str
) -> None:
    table, groups = made_up_scores({"base": 0.0, "gecko": shift}, queries=400)
    found = compare(table, groups, base="base", tuned="gecko", pretrained=None,
                    resamples=500, seed=1)  # fmt: skip
    assert f"On heldout the tuned model {said} the base" in headline(found)


def test_the_text_table_fits_a_terminal_and_lines_up(comparison: Comparison) -> None:
    lines = as_text(comparison).splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[0] == "heldout"
    with_interval = [line for line in lines if " .. " in line]
    assert len(with_interval) == 5 + 2  # five models against base, two dimensions of FRet
    assert len({line.index(" .. ") for line in with_interval}) == 1


def test_moved_queries_are_the_largest_changes_with_their_ranks(toy_data: RetrievalData) -> None:
    def single(model: str, dimension: int, values: list[float], top: list[str]) -> pl.DataFrame:
        rows = [
            {"query_id": f"q{n}", "score": value, "top_ids": top}
            | {"model": model, "dimension": dimension, "task": "toy"}
            for n, value in enumerate(values)
        ]
        return pl.DataFrame(rows, schema=PER_QUERY_SCHEMA)

    per_query = pl.concat(
        [
            single("base", 32, [0.5, 0.5, 0.5, 0.5], ["p10", "p00"]),
            single("base", 8, [0.0, 0.0, 0.0, 0.0], ["p70"]),
            single("gecko", 32, [0.6, 0.1, 0.9, 0.5], ["p00", "p10"]),
        ]
    )
    found = moved_queries(per_query, *to_tables([toy_data]), base="base", tuned="gecko", count=2)
    assert found["query_id"].to_list() == ["q2", "q0", "q1"]  # q3 did not change
    assert found["after"].to_list() == [0.9, 0.6, 0.1]
    (relevant, rival) = found.filter(query_id="q0")["passages"].item().to_list()
    assert (relevant["passage_id"], relevant["relevant"]) == ("p00", True)
    assert (relevant["rank_before"], relevant["rank_after"]) == (2, 1)
    assert (rival["passage_id"], rival["rank_before"], rival["rank_after"]) == ("p10", 1, 2)


def test_the_dimension_curve_has_a_line_for_each_model(comparison: Comparison) -> None:
    figure = dimension_curve(comparison)
    assert {line.name for line in figure.data} == {"base", "pretrained", "gecko", "BM25"}
    gecko = next(line for line in figure.data if line.name == "gecko")
    assert list(gecko.x) == [128, 384]
    assert gecko.y[1] == comparison.results.filter(model="gecko")["score"][0]


def test_group_differences_show_every_group_once(comparison: Comparison) -> None:
    figure = group_differences(comparison)
    labels = [label for trace in figure.data for label in trace.y]
    assert len(labels) == len(set(labels)) == 25


def test_loss_curves_skip_steps_without_a_loss(history: pl.DataFrame) -> None:
    gaps = history.with_columns(pl.when(pl.col("step") != 20).then("loss").alias("loss"))
    figure = loss_curves({"pretrain": gaps, "nothing": gaps.clear()})
    assert [list(line.y) for line in figure.data] == [[2.0, 0.9]]
    assert "Fine-tuning" in plot_training(history, title="Fine-tuning").layout.title.text
