"""Positive and negative of each query, their guards, and the audit of the result."""

import json
from itertools import chain
from typing import Any

import numpy as np
import polars as pl
import pytest

from gecko_kedro.corpus.quarantine import quarantine_row, quarantine_table
from gecko_kedro.corpus.schemas import QUARANTINE_SCHEMA
from gecko_kedro.fret import (
    LABEL_SAMPLE,
    AuditSettings,
    ChooseSettings,
    audit_labels,
    choose_examples,
    label_sample,
    label_sample_page,
    reject_examples,
)
from gecko_kedro.fret.audit import kendall_tau
from gecko_kedro.fret.schemas import FRET, QUERY, RANKING, table

TEXTS = {
    "a": "Yeast makes bread rise.",
    "b": "Oil lamps burn on the hill.",
    "c": "  yeast makes BREAD rise. ",  # the same text as "a" but for case and white space
    "d": "A bridge was closed to cars. <script>alert(1)</script>",
    "e": "🙂 שלום עולם",
}
PASSAGES = pl.DataFrame(
    {
        "passage_id": list(TEXTS),
        "title": ["T", None, None, None, "🙂"],
        "text": list(TEXTS.values()),
    }
)


def query(query_id: str, seed_id: str | None, text: str | None = None) -> dict[str, Any]:
    return {
        "query_id": query_id, "task": "Find it", "task_name": "search result",
        "query": text or query_id, "passage_id": seed_id,
        "origin": "log" if seed_id is None else "synthetic",
    }  # fmt: skip


def ranking(
    query_id: str, order: str, seed_id: str | None, **scores: float
) -> list[dict[str, Any]]:
    """Candidates in fused order; the retriever's order is alphabetical."""
    by_retriever = sorted(order)
    return [
        {
            "query_id": query_id, "passage_id": passage_id,
            "retriever_rank": by_retriever.index(passage_id) + 1,
            "retriever_score": scores.get(passage_id, 0.9 - by_retriever.index(passage_id) / 10),
            "is_seed": passage_id == seed_id, "query_likelihood": -1.0 - place,
            "relevance": -2.0 - place, "label_log_likelihoods": [-0.5, -2.0 - place],
            "query_cut": False, "passage_cut": False, "query_likelihood_rank": place + 1,
            "relevance_rank": place + 1, "fused_score": 2 / (place + 1), "fused_rank": place + 1,
        }
        for place, passage_id in enumerate(order)
    ]  # fmt: skip


def chosen(
    rankings: list[dict[str, Any]], queries: list[dict[str, Any]], **options: Any
) -> tuple[pl.DataFrame, pl.DataFrame]:
    settings = ChooseSettings(**{"seed": 3, **options})
    fret, quarantine = choose_examples(
        table(rankings, RANKING), table(queries, QUERY), PASSAGES, settings
    )
    assert fret.schema == FRET
    assert quarantine.schema == QUARANTINE_SCHEMA
    assert fret.height + quarantine.height == len(queries)
    return fret, quarantine


def test_the_first_is_the_positive_and_the_last_the_negative() -> None:
    fret, _ = chosen(ranking("q", "badc", "a"), [query("q", "a")])
    row = fret.row(0, named=True)
    assert (row["positive_id"], row["negative_id"], row["seed_id"]) == ("b", "c", "a")
    assert (row["positive"], row["negative"]) == (TEXTS["b"], TEXTS["c"])
    assert row["positive_is_seed"] is False
    assert row["candidate_ids"] == ["b", "a", "d", "c"]
    assert row["fused_ranks"] == [1, 2, 3, 4]
    assert row["query_likelihoods"] == [-1.0, -2.0, -3.0, -4.0]
    assert row["label_log_likelihoods"][3] == [-0.5, -5.0]
    assert row["retriever_ranks"] == [2, 1, 4, 3]
    assert row["retriever_scores"] == pytest.approx([0.8, 0.9, 0.6, 0.7])


def test_a_query_of_a_log_has_no_seed_and_that_is_no_fault() -> None:
    fret, _ = chosen(ranking("q", "ab", None), [query("q", None)])
    assert fret.row(0, named=True)["seed_id"] is None
    assert fret.row(0, named=True)["positive_is_seed"] is None
    _, quarantine = chosen(ranking("q", "ab", None), [query("q", None)], positive="seed")
    assert quarantine["reason"].to_list() == ["no_seed"]


def test_the_seed_can_stay_the_positive() -> None:
    fret, _ = chosen(ranking("q", "bade", "a"), [query("q", "a")], positive="seed")
    assert fret.select("positive_id", "negative_id", "positive_is_seed").row(0) == ("a", "e", True)


def test_a_text_equal_to_the_positive_is_no_negative() -> None:
    fret, _ = chosen(ranking("q", "abdc", "a"), [query("q", "a")])
    assert fret["negative_id"].to_list() == ["d"]


def test_the_seed_is_no_negative() -> None:
    fret, _ = chosen(ranking("q", "bda", "a"), [query("q", "a")])
    assert fret["negative_id"].to_list() == ["d"]


def test_the_positive_of_the_same_query_elsewhere_is_no_negative() -> None:
    rows = [*ranking("q1", "abd", "a"), *ranking("q2", "dbe", None), *ranking("q3", "eb", None)]
    fret, _ = chosen(
        rows, [query("q1", "a", "rise?"), query("q2", None, "Rise!"), query("q3", None, "other")]
    )
    assert fret["negative_id"].to_list() == ["b", "e", "b"]


def test_percent_of_positive_passes_over_what_the_retriever_finds_as_good() -> None:
    rows = ranking("q", "abde", "a", a=0.8, b=0.5, d=0.5, e=0.79)
    assert chosen(rows, [query("q", "a")])[0]["negative_id"].to_list() == ["e"]
    fret, _ = chosen(rows, [query("q", "a")], percent_of_positive=0.95)
    assert fret["negative_id"].to_list() == ["d"]


def test_one_passage_only_has_no_negative_and_says_so() -> None:
    _, quarantine = chosen(ranking("q", "a", "a"), [query("q", "a", "🙂 שלום")])
    assert quarantine["reason"].to_list() == ["no_negative"]
    assert json.loads(quarantine["record"][0])["query"] == "🙂 שלום"
    fret, _ = chosen(ranking("q", "a", "a"), [query("q", "a")], negative="none")
    assert fret.select("positive_id", "negative_id", "negative").row(0) == ("a", None, None)


def test_queries_without_candidates_and_unknown_passages_are_set_aside() -> None:
    rows = [*ranking("q1", "ab", None), *ranking("q2", "az", None)]
    fret, quarantine = chosen(rows, [query("q0", None), query("q1", None), query("q2", None)])
    assert fret["query_id"].to_list() == ["q1"]
    assert quarantine["reason"].to_list() == ["no_candidates", "unknown_passage"]


def test_lists_shorter_than_n_stand_beside_full_ones() -> None:
    rows = [*ranking("q1", "abde", "a"), *ranking("q2", "be", "b")]
    fret, _ = chosen(rows, [query("q1", "a"), query("q2", "b")])
    assert fret["negative_id"].to_list() == ["e", "e"]
    assert fret["candidate_ids"].list.len().to_list() == [4, 2]


def test_sampled_negatives_depend_on_the_query_not_on_the_company_or_the_order() -> None:
    names = [f"q{n}" for n in range(40)]
    rows = {name: ranking(name, "abde", "a") for name in names}
    queries = [query(name, "a") for name in names]
    together, _ = chosen(list(chain(*rows.values())), queries, negative="sampled")
    backwards, _ = chosen(list(chain(*reversed(rows.values()))), queries[::-1], negative="sampled")
    alone, _ = chosen(rows["q7"], [query("q7", "a")], negative="sampled")
    assert together.sort("query_id").equals(backwards.sort("query_id"))
    assert together.filter(query_id="q7").equals(alone)
    assert set(together["negative_id"]) == {"b", "d", "e"}
    other, _ = chosen(list(chain(*rows.values())), queries, negative="sampled", seed=4)
    assert not together.equals(other)


def test_a_draw_depends_on_which_candidates_there_are_not_on_their_places() -> None:
    names = [f"q{n}" for n in range(30)]
    drawn = [
        chosen(
            list(chain(*(ranking(name, order, "a") for name in names))),
            [query(name, "a") for name in names],
            negative="sampled",
        )[0]["negative_id"].to_list()
        for order in ("abde", "aedb")
    ]
    assert drawn[0] == drawn[1]


def test_the_audit_counts_replaced_seeds_and_agreement() -> None:
    rows = [*ranking("q1", "abde", "a"), *ranking("q2", "bade", "a"), *ranking("q3", "ab", None)]
    fret, _ = chosen(rows, [query("q1", "a"), query("q2", "a"), query("q3", None)])
    metrics, figures = audit_labels(table(rows, RANKING), fret)
    assert metrics["replaced_seeds"] == 0.5
    assert metrics["examples_with_seed"] == 2
    assert metrics["kendall_tau"] == pytest.approx(1.0)
    assert metrics["same_first"] == 1.0
    assert metrics["positive_retriever_rank"] == pytest.approx(4 / 3)
    assert metrics["cut_queries"] == metrics["cut_passages"] == 0.0
    assert metrics["false_negative_candidates"] == 0.0
    assert len(figures) == 3
    assert all(json.loads(figure.to_json())["data"] for figure in figures)


def test_the_audit_of_nothing_has_no_shares() -> None:
    fret, _ = chosen([], [])
    metrics, _ = audit_labels(table([], RANKING), fret)
    assert metrics == {"queries": 0, "judgements": 0, "examples": 0, "examples_with_seed": 0}
    assert label_sample(fret, table([], RANKING), PASSAGES).is_empty()


def test_an_audit_without_one_of_the_rankers_has_no_agreement() -> None:
    rows = [
        row | {"relevance": None, "label_log_likelihoods": None, "relevance_rank": None}
        for row in ranking("q", "ab", "a")
    ]
    fret, _ = chosen(rows, [query("q", "a")])
    metrics, _ = audit_labels(table(rows, RANKING), fret)
    assert "kendall_tau" not in metrics
    assert metrics["replaced_seeds"] == 0.0


def sampled(
    rows: list[dict[str, Any]], queries: list[dict[str, Any]], count: int = 50
) -> pl.DataFrame:
    fret, _ = chosen(rows, queries)
    return label_sample(fret, table(rows, RANKING), PASSAGES, AuditSettings(rows=count, seed=3))


def test_the_sample_sets_a_replaced_seed_beside_its_passages() -> None:
    rows = [*ranking("q1", "abde", "a"), *ranking("q2", "bade", "a"), *ranking("q3", "ab", None)]
    sample = sampled(rows, [query("q1", "a"), query("q2", "a"), query("q3", None)])
    assert sample.schema == LABEL_SAMPLE
    replaced = sample.row(0, named=True)
    assert (replaced["query_id"], replaced["seed"]) == ("q2", f"T: {TEXTS['a']}")
    assert replaced["positive_place"] == "retriever 2, QL 1, RC 1, fused 1"
    assert sample["seed"].null_count() == 2
    assert set(sample["query_id"]) == {"q1", "q2", "q3"}


def test_a_sample_is_half_replaced_seeds_drawn_once_each_and_repeatably() -> None:
    names = [f"q{n}" for n in range(30)]
    rows = list(chain(*(ranking(n, "bade" if n < "q2" else "abde", "a") for n in names)))
    queries = [query(name, "a") for name in names]
    sample = sampled(rows, queries, count=10)
    assert sample["query_id"].n_unique() == 10
    assert sample["positive_is_seed"].to_list() == [False, True] * 5
    assert sample.equals(sampled(rows, queries, count=10))
    assert sampled(rows, queries, count=99).height == 30


def test_the_sample_in_html_runs_no_script_of_a_passage() -> None:
    sample = sampled(ranking("q", "abd", "a"), [query("q", "a", '<b>&"שלום')])
    page = label_sample_page(sample, teacher="<i>")
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "<b>" not in page
    assert "<i>" not in page


def test_two_examples_of_each_reason_to_reject_are_shown_with_its_rate() -> None:
    rows = [
        quarantine_row("synthesize_queries", f"r{n}", reason="copy", detail="20 words in a row",
                       record={"reply": f"reply {n}", "passage_id": "a"})
        for n in range(3)
    ]  # fmt: skip
    rows.append(quarantine_row("filter_queries", "q", reason="too_long", detail="99 words",
                               record={"query": "long " * 300}))  # fmt: skip
    rows.append(quarantine_row("query_log", "l", reason="not_text", detail="", record={}))
    copy, log, long = reject_examples(quarantine_table(rows), kept=5)
    assert (copy["reason"], copy["count"], copy["rate"]) == ("copy", 3, 0.3)
    assert copy["examples"] == [
        {"text": f"reply {n}", "detail": "20 words in a row"} for n in range(2)
    ]
    assert long["examples"][0]["text"].startswith("long long")
    assert len(long["examples"][0]["text"]) <= 601
    assert [one["text"] for one in log["examples"]] == ["l"]
    assert reject_examples(quarantine_table([]), kept=5) == []


def test_kendall_tau_is_tau_b() -> None:
    from scipy.stats import kendalltau

    rng = np.random.default_rng(0)
    for _ in range(20):
        a, b = rng.integers(0, 5, 9).astype(float), rng.integers(0, 5, 9).astype(float)
        assert kendall_tau(a, b) == pytest.approx(kendalltau(a, b).statistic)
    assert kendall_tau(np.zeros(3), np.arange(3.0)) == 0.0
