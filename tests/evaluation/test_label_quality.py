"""Rankings against human judgements: nDCG, accuracy of the positive, intervals, samples."""

import json
import math

import polars as pl
import pytest

from gecko_kedro.evaluation.comparing.label_quality import (
    LABEL_QUALITY_SCHEMA,
    LabelQualitySettings,
    label_quality,
    label_quality_metrics,
)
from gecko_kedro.evaluation.reporting.plots import label_quality_plot
from gecko_kedro.evaluation.reporting.terminal import label_quality_text
from gecko_kedro.evaluation.scoring.items import score_ranking
from gecko_kedro.evaluation.tasks.judged import JudgedSettings, half_of, sample_judged
from gecko_kedro.evaluation.tasks.retrieval import RetrievalData

N = 40


def ranking(order: str) -> pl.DataFrame:
    """The same order of passages a, b, c ... for each query."""
    return pl.DataFrame(
        [(f"q{n}", passage, rank) for n in range(N) for rank, passage in enumerate(order, 1)],
        schema={"query_id": pl.String, "passage_id": pl.String, "fused_rank": pl.Int32},
        orient="row",
    )


def judged(score_of: dict[str, int]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {"query_id": f"q{n}", "group": f"g{n}", "passage_id": passage, "score": score}
            for n in range(N)
            for passage, score in score_of.items()
        ]
    )


def quality(rankings: dict[str, pl.DataFrame], score_of: dict[str, int]) -> pl.DataFrame:
    qrels = judged(score_of)
    scores = {name: score_ranking(one, qrels) for name, one in rankings.items()}
    return label_quality(scores, qrels, LabelQualitySettings(resamples=200, seed=1))


def measured(rankings: dict[str, str], score_of: dict[str, int]) -> dict[tuple[str, str], dict]:
    table = quality({name: ranking(order) for name, order in rankings.items()}, score_of)
    assert table.schema == LABEL_QUALITY_SCHEMA
    return {(row["ranking"], row["measure"]): row for row in table.to_dicts()}


def test_ndcg_and_accuracy_are_their_definitions() -> None:
    # The gains are 2 and 1, and "z" is relevant but no candidate.
    found = measured({"retriever": "abcd", "teacher": "dabc"}, {"d": 2, "b": 1, "z": 1, "c": 0})
    ideal = 2 + 1 / math.log2(3) + 1 / math.log2(4)
    before = 1 / math.log2(3) + 2 / math.log2(5)
    after = 2 + 1 / math.log2(4)
    assert found["retriever", "ndcg_at_10"]["mean"] == pytest.approx(before / ideal)
    assert found["teacher", "ndcg_at_10"]["mean"] == pytest.approx(after / ideal)
    assert found["teacher", "ndcg_at_10"]["difference"] == pytest.approx((after - before) / ideal)
    assert found["retriever", "accuracy"]["mean"] == 0.0
    assert found["teacher", "accuracy"]["mean"] == 1.0
    assert found["teacher", "accuracy"]["queries"] == N


def test_the_first_ranking_differs_from_itself_by_nothing() -> None:
    row = measured({"retriever": "ab", "teacher": "ba"}, {"b": 1})["retriever", "ndcg_at_10"]
    assert (row["difference"], row["low"], row["high"]) == (0.0, 0.0, 0.0)


def test_a_query_without_candidates_scores_nothing_and_stays() -> None:
    rankings = {"retriever": ranking("ab").filter(pl.col("query_id") != "q0")}
    table = quality(rankings, {"a": 1})
    assert table["mean"].to_list() == pytest.approx([(N - 1) / N] * 2)


def test_what_is_shown_agrees_with_the_table() -> None:
    table = quality(
        {"retriever": ranking("ab"), "query_likelihood + relevance": ranking("ba")}, {"b": 1}
    )
    metrics = label_quality_metrics(table)
    assert metrics["query_likelihood_relevance.accuracy.mean"] == 1.0
    assert metrics["query_likelihood_relevance.accuracy.low"] == 1.0
    assert "query_likelihood + relevance" in label_quality_text(table)
    assert len(json.loads(label_quality_plot(table).to_json())["data"]) == 2


def retrieval_data(n_queries: int, n_passages: int) -> RetrievalData:
    return RetrievalData(
        "made-up",
        pl.DataFrame(
            {
                "id": [f"p{n}" for n in range(n_passages)],
                "title": [None] * n_passages,
                "text": [f"text {n}" for n in range(n_passages)],
            },
            schema={"id": pl.String, "title": pl.String, "text": pl.String},
        ),
        pl.DataFrame(
            {
                "id": [f"q{n}" for n in range(n_queries)],
                "text": [f"query {n}" for n in range(n_queries)],
                "group": [f"g{n}" for n in range(n_queries)],
            }
        ),
        pl.DataFrame(
            {
                "query_id": [f"q{n}" for n in range(n_queries)],
                "passage_id": [f"p{n}" for n in range(n_queries)],
                "score": [1] * n_queries,
            }
        ),
    )


def test_a_sample_has_every_judged_passage_and_fills_up_with_others() -> None:
    data = retrieval_data(30, 100)
    queries, passages, qrels = sample_judged(
        data, JudgedSettings(max_queries=10, max_passages=25, seed=1)
    )
    assert (queries.height, passages.height, qrels.height) == (10, 25, 10)
    assert set(qrels["passage_id"]) <= set(passages["passage_id"])
    assert qrels["group"].to_list() == ["g" + query[1:] for query in qrels["query_id"]]
    few = sample_judged(data, JudgedSettings(max_queries=10, max_passages=1, seed=1))
    assert set(few[1]["passage_id"]) == set(qrels["passage_id"])
    whole = sample_judged(data, JudgedSettings(max_queries=None, max_passages=1_000, seed=1))
    assert (whole[0].height, whole[1].height) == (30, 100)


def test_the_two_halves_share_no_query_and_are_the_whole() -> None:
    qrels = judged({"a": 1, "b": 0})
    first, second = (half_of(qrels, fold, seed=1) for fold in (0, 1))
    assert not set(first["query_id"]) & set(second["query_id"])
    assert first.height + second.height == qrels.height
    assert min(first.height, second.height) > 0
    assert half_of(qrels, None, seed=1).equals(qrels)
