"""Negatives for sets that have none."""

import polars as pl
import pytest

from gecko_kedro.encoder.encoding import encode_texts
from gecko_kedro.encoder.formatting import GECKO
from gecko_kedro.training.examples import check_examples, render_examples
from gecko_kedro.training.negatives import add_mined_negatives
from gecko_kedro.training.settings import MinedNegativesSettings
from tests.support.example_rows import example, table
from tests.support.tiny_encoder import tiny_encoder

MODEL = tiny_encoder()
ROWS = table(
    *(example(query=f"question {i % 9}", positive=f"answer number {i}") for i in range(12)),
    example(query="taught", positive="right", negatives=["wrong"]),
    example(query="answer number 5", positive="a text that is a query elsewhere"),
    example(dataset="other", query="far", positive="away"),
    example(dataset="other", query="near", positive="by"),
)


def mined(**changes: object) -> pl.DataFrame:
    datasets = changes.pop("datasets", ["set"])
    values = {"candidates": 6, "percent_of_positive": 1.0, "n_negatives": 2} | changes
    return add_mined_negatives(
        ROWS, MODEL, datasets=datasets, batch_size=4, templates=GECKO,
        settings=MinedNegativesSettings.model_validate(values),
    )  # fmt: skip


def test_rows_without_a_negative_get_the_nearest_passages_that_are_no_positives() -> None:
    result = mined(percent_of_positive=1.0)
    assert result.drop("negatives").equals(ROWS.drop("negatives"))
    assert result["negatives"][12].to_list() == [{"title": None, "text": "wrong"}]
    assert all(result["negatives"][row].is_empty() for row in (14, 15))
    assert check_examples(result, where="mined").quarantine.is_empty()
    assert result["negatives"][:12].list.len().max() == 2


@pytest.mark.parametrize("percent", [0.9, 0.97, 1.0])
def test_no_negative_scores_above_its_share_of_the_positive(percent: float) -> None:
    result = mined(percent_of_positive=percent, n_negatives=5).filter(dataset="set")
    table = render_examples(result)
    for row in table.filter(pl.col("query") != "task: search result | query: taught").iter_rows():
        query, positive, negatives = row
        vectors = encode_texts(MODEL, [query, positive, *negatives], batch_size=8)
        scores = vectors[1:] @ vectors[0]
        assert (scores[1:] <= percent * scores[0] + 1e-6).all()


def test_sets_that_are_not_named_stay_as_they_are() -> None:
    assert mined(datasets=[]).equals(ROWS)
    assert add_mined_negatives(
        ROWS.clear(), MODEL, datasets=["set"], batch_size=4, templates=GECKO,
        settings=MinedNegativesSettings(),
    ).is_empty()  # fmt: skip
