"""Labels without information stop the run; few or coarse ones do not."""

import random

import polars as pl
import pytest

from gecko_kedro import fret
from gecko_kedro.base.errors import InputError

QUERIES = pl.DataFrame({"query_id": [f"q{n}" for n in range(60)], "query": "what is it"})


def judged(scores: list[list[float]], ranker: str = "relevance") -> pl.DataFrame:
    """One row for each score, in the retriever's order."""
    rows = [
        {"query_id": f"q{n}", "passage_id": f"p{m}", "retriever_rank": m + 1,
         "query_likelihood": score if ranker == "query_likelihood" else None,
         "label_log_likelihoods": [-2.5, score] if ranker == "relevance" else None}
        for n, own in enumerate(scores) for m, score in enumerate(own)
    ]  # fmt: skip
    schema = {"query_likelihood": pl.Float64, "label_log_likelihoods": pl.List(pl.Float64)}
    return pl.DataFrame(rows, schema_overrides=schema, infer_schema_length=None)


def mixed(n: int, seed: int = 0) -> list[list[float]]:
    draw = random.Random(seed)
    return [[draw.uniform(-9, 0) for _ in range(6)] for _ in range(n)]


def refuse(scores: list[list[float]], ranker: str = "relevance") -> None:
    fret.refuse_worthless(judged(scores, ranker), QUERIES, ["query_likelihood", "relevance"])


@pytest.mark.parametrize("ranker", ["query_likelihood", "relevance"])
@pytest.mark.parametrize(
    ("scores", "problem"),
    [
        ([[-2.0] * 6] * 12, "one score for all candidates in 100% of 12 queries"),
        ([[-n - 1e-9 * m for m in range(6)] for n in range(12)], "one score for all"),
        ([[-2.0] * 6] * 58 + mixed(2), "one score for all candidates in 97% of 60 queries"),
        ([[-1.0 * m for m in range(6)]] * 12, "the retriever's own order in all of 12 queries"),
        ([[-1.0, -1.0, -1.0, -2.0, -2.0, -3.0]] * 30, "the retriever's own order"),
    ],
)
def test_a_ranker_that_says_nothing_is_refused_with_three_examples(
    ranker: str, scores: list[list[float]], problem: str
) -> None:
    with pytest.raises(InputError, match=f"{ranker}.*{problem}.*leave the ranker out") as stop:
        refuse(scores, ranker)
    assert str(stop.value).count("'what is it'") == 3


@pytest.mark.parametrize(
    "scores",
    [
        mixed(60),
        [[-2.0] * 6] * 4,  # too few to tell
        [[-2.0] * 6] * 12 + mixed(1),  # a coarse ranker with one distinction
        [[-1.0, -2.0]] * 20,  # two candidates each agree by chance once in a million
        [[-2.0]] * 50,  # one candidate has nothing to be told from
        [[-9.0, -1.0, -9.0, -9.0]] * 60,  # one grade for most
    ],
)
def test_few_and_coarse_scores_pass(scores: list[list[float]]) -> None:
    refuse(scores)


def test_what_a_ranker_tells_in_numbers() -> None:
    scores = [[-1.0, -1.0, -2.0], [-3.0, -3.0, -3.0], [-2.0, -1.0, -3.0]]
    found = fret.information(judged(scores), "relevance")
    assert found is not None
    metrics = found.as_metrics()
    assert metrics["relevance_distinct"] == pytest.approx(3 / 9)
    assert metrics["relevance_ties"] == pytest.approx((1 / 3 + 1 + 0) / 3)
    assert metrics["relevance_constant"] == pytest.approx(1 / 3)
    assert metrics["relevance_as_retriever"] == pytest.approx(2 / 3)
    assert metrics["relevance_grades"] == 2
    assert fret.information(judged(scores), "query_likelihood") is None
