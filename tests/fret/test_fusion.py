"""Ranking and fusion: properties that hold for any scores."""

import math
import random
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gecko_kedro import fret
from gecko_kedro.base.errors import InputError
from gecko_kedro.fret import Prompts, Ranker, score_candidates
from gecko_kedro.fret.schemas import CANDIDATE, JUDGEMENT, QUERY, RANKING, empty_table, table
from gecko_kedro.teacher import LexicalSettings, LexicalTeacher

PAPER: list[Ranker] = ["query_likelihood", "relevance"]
Scores = list[tuple[float, float]]


def fuse_rankings(
    candidates: pl.DataFrame,
    judgements: pl.DataFrame,
    *,
    k: float,
    rankers: list[Ranker],
    **changes: Any,
) -> pl.DataFrame:
    settings = fret.FuseSettings(k=k, **changes)
    return fret.fuse_rankings(candidates, judgements, settings, rankers=rankers)


def tables(scores: dict[str, Scores]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Candidates p0, p1 ... of each query in the retriever's order, with their judgements."""
    rows = [
        {"query_id": query, "passage_id": f"p{n}", "retriever_rank": n + 1,
         "retriever_score": 1 - n / 100, "retriever_likelihood": None, "is_seed": n == 0,
         "query_likelihood": a,
         "label_log_likelihoods": [-9.0, b], "query_cut": False, "passage_cut": False}
        for query, own in scores.items()
        for n, (a, b) in enumerate(own)
    ]  # fmt: skip
    whole = pl.DataFrame(rows)
    return (
        whole.select([pl.col(n).cast(t) for n, t in CANDIDATE.items()]),
        whole.select([pl.col(n).cast(t) for n, t in JUDGEMENT.items()]),
    )


def slow_fusion(scores: Scores, k: float, rankers: list[Ranker]) -> list[str]:
    """The order of one query, computed as the definition reads."""
    n = len(scores)
    columns = {
        "query_likelihood": [a for a, _ in scores],
        "relevance": [b for _, b in scores],
        "retriever": [-float(row) for row in range(n)],
    }
    ranks = {
        name: {
            row: place for place, row in enumerate(sorted(range(n), key=lambda r: (-v[r], r)), 1)
        }
        for name, v in columns.items()
    }
    fused = [sum(1 / (Fraction(k) + ranks[name][row]) for name in rankers) for row in range(n)]
    order = sorted(range(n), key=lambda row: (-fused[row], row))
    return [f"p{row}" for row in order]


grades = st.sampled_from([-3.0, -2.0, -1.0, 0.0])
score_lists = st.lists(st.tuples(st.floats(-50, 0), grades), min_size=1, max_size=21)


@given(scores=score_lists, k=st.sampled_from([0.0, 1.0, 60.0]))
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize(
    "rankers",
    [PAPER, ["relevance"], ["query_likelihood", "relevance", "retriever"], ["retriever"]],
)
def test_fusion_is_its_definition(rankers: list[Ranker], scores: Scores, k: float) -> None:
    candidates, judgements = tables({"q": scores})
    rankings = fuse_rankings(candidates, judgements, k=k, rankers=rankers)
    assert rankings.schema == RANKING
    assert rankings["passage_id"].to_list() == slow_fusion(scores, k, rankers)
    assert rankings["fused_rank"].to_list() == list(range(1, len(scores) + 1))


@given(first=score_lists, second=score_lists, seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_the_order_of_rows_and_of_rankers_changes_nothing(
    first: Scores, second: Scores, seed: int
) -> None:
    rankers: list[Ranker] = ["query_likelihood", "relevance", "retriever"]
    candidates, judgements = tables({"a": first, "b": second})
    expected = fuse_rankings(candidates, judgements, k=0, rankers=rankers).sort("query_id")
    random.Random(seed).shuffle(rankers)
    shuffled = fuse_rankings(
        candidates.sample(fraction=1, shuffle=True, seed=seed),
        judgements.sample(fraction=1, shuffle=True, seed=seed + 1), k=0, rankers=rankers,
    )  # fmt: skip
    assert shuffled.sort("query_id", maintain_order=True).equals(expected)


@given(scores=score_lists, weight=st.sampled_from([0.25, 1.0, 3.0]))
@example(scores=[(0.0, -3.0), (-3.7e-266, -3.0)], weight=0.25)
@settings(max_examples=60, deadline=None)
def test_standardised_fusion_is_its_definition(scores: Scores, weight: float) -> None:
    candidates, judgements = tables({"q": scores})
    rankers: list[Ranker] = ["query_likelihood", "relevance", "retriever"]
    rankings = fuse_rankings(
        candidates, judgements, k=0, rankers=rankers, method="standardised",
        weights={"relevance": weight},
    )  # fmt: skip
    of_each = [
        [a for a, _ in scores], [b for _, b in scores], candidates["retriever_score"].to_list()
    ]  # fmt: skip
    total = sum(w * standardised(values) for w, values in zip((1, weight, 1), of_each, strict=True))
    found = dict(rankings.select("passage_id", "fused_score").iter_rows())
    np.testing.assert_allclose([found[f"p{n}"] for n in range(len(scores))], total, atol=1e-9)
    assert rankings["fused_score"].is_sorted(descending=True)
    assert rankings["fused_rank"].to_list() == list(range(1, len(scores) + 1))


def standardised(values: list[float]) -> NDArray[np.float64]:
    exact = [Fraction(value) for value in values]
    if max(exact) == min(exact):
        return np.zeros(len(exact))
    # Enlarged, so that the root of a variance as small as 1e-600 is a float. The ratio stays.
    exact = [value / (max(exact) - min(exact)) for value in exact]
    mean = sum(exact) / len(exact)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in exact) / len(exact))
    return np.asarray([float(value - mean) / deviation for value in exact])


def test_standardised_fusion_reads_the_likelihood_where_the_retriever_has_one() -> None:
    candidates, judgements = tables({"q": [(-1.0, -1.0)] * 3})
    likely = candidates.with_columns(
        retriever_likelihood=pl.Series([0.1, 0.3, 0.2], dtype=pl.Float32)
    )
    rankings = fuse_rankings(
        likely, judgements, k=0, rankers=["relevance", "retriever"], method="standardised"
    )
    assert rankings["passage_id"].to_list() == ["p1", "p2", "p0"]


def test_a_heavy_ranker_decides_by_reciprocal_ranks_too() -> None:
    candidates, judgements = tables({"q": [(-2.0, -1.0), (-1.0, -2.0)]})
    orders = [
        fuse_rankings(candidates, judgements, k=0, rankers=PAPER, weights={heavy: 2.0})[
            "passage_id"
        ].to_list()
        for heavy in PAPER
    ]
    assert orders == [["p1", "p0"], ["p0", "p1"]]


def test_the_papers_tie_goes_to_the_better_retriever_rank() -> None:
    # Ranks (2, 1) and (1, 2): both fuse to 1.5 with k = 0.
    candidates, judgements = tables({"q": [(-2.0, -1.0), (-1.0, -2.0), (-3.0, -3.0)]})
    rankings = fuse_rankings(candidates, judgements, k=0, rankers=PAPER)
    assert rankings["passage_id"].to_list() == ["p0", "p1", "p2"]
    assert rankings["fused_score"].to_list() == pytest.approx([1.5, 1.5, 2 / 3])


def test_sums_that_are_equal_as_fractions_tie() -> None:
    # 1/10 + 1/15 = 1/12 + 1/12 = 1/6, which in floats are two numbers. p0 and p1 swap roles below.
    assert 1 / 10 + 1 / 15 != 1 / 12 + 1 / 12
    for first, second in (((10, 15), (12, 12)), ((12, 12), (10, 15))):
        likelihoods, relevances = [list(r) for r in (range(1, 18), range(1, 18))]
        for row, (a, b) in enumerate((first, second)):
            likelihoods.remove(a)
            likelihoods.insert(row, a)
            relevances.remove(b)
            relevances.insert(row, b)
        scores = [(-float(a), -float(b)) for a, b in zip(likelihoods, relevances, strict=True)]
        candidates, judgements = tables({"q": scores})
        rankings = fuse_rankings(candidates, judgements, k=0, rankers=PAPER)
        places = rankings["passage_id"].to_list()
        assert places.index("p0") + 1 == places.index("p1")


def test_k_zero_trusts_a_first_place_more_than_k_sixty() -> None:
    # p4 is first for one ranker and last for the other; p0 is second for both.
    scores = [(-2.0, -2.0), (-3.0, -3.0), (-4.0, -1.0), (-5.0, -4.0), (-1.0, -5.0)]
    candidates, judgements = tables({"q": scores})
    order = {
        k: fuse_rankings(candidates, judgements, k=k, rankers=PAPER)["passage_id"].to_list()
        for k in (0.0, 60.0)
    }
    assert order[0.0].index("p4") < order[0.0].index("p0")
    assert order[60.0].index("p4") > order[60.0].index("p0")


def test_queries_keep_the_order_of_the_candidates() -> None:
    candidates, judgements = tables({"z": [(-1.0, -1.0)], "a": [(-1.0, -1.0)]})
    rankings = fuse_rankings(candidates, judgements, k=0, rankers=PAPER)
    assert rankings["query_id"].to_list() == ["z", "a"]


@pytest.mark.parametrize("bad", [None, math.nan, -math.inf])
def test_a_missing_judgement_is_refused_where_it_is_needed(bad: float | None) -> None:
    candidates, judgements = tables({"q": [(-1.0, -1.0), (-2.0, -2.0)]})
    broken = judgements.with_columns(pl.Series("query_likelihood", [-1.0, bad], dtype=pl.Float64))
    with pytest.raises(InputError, match="finite score"):
        fuse_rankings(candidates, broken, k=0, rankers=PAPER)
    with pytest.raises(InputError, match="finite score"):
        fuse_rankings(candidates, judgements.head(1), k=0, rankers=PAPER)
    rankings = fuse_rankings(candidates, broken, k=0, rankers=["relevance"])
    assert rankings["query_likelihood_rank"].null_count() == 2


def with_labels(judgements: pl.DataFrame, labels: list[list[float] | None]) -> pl.DataFrame:
    return judgements.with_columns(
        pl.Series("label_log_likelihoods", labels, dtype=pl.List(pl.Float64))
    )


def test_relevance_is_the_top_grade_or_the_expected_grade() -> None:
    candidates, judgements = tables({"q": [(-1.0, 0.0), (-2.0, 0.0)]})
    # p0 is surely a 1 of 0 to 2; p1 is a 2 or, as likely as not, a 0. Neither sums to 1.
    logs = [[math.log(p) for p in grades] for grades in ([0.01, 0.3, 0.01], [0.2, 0.01, 0.1])]
    judgements = with_labels(judgements, list(logs))
    top, expected = (
        fuse_rankings(candidates, judgements, k=0, rankers=["relevance"], relevance_score=score)
        for score in ("top_grade", "expected_grade")
    )
    assert top["passage_id"].to_list() == ["p1", "p0"]
    assert expected["passage_id"].to_list() == ["p0", "p1"]
    assert expected["relevance"].to_list() == pytest.approx([1.0, 0.21 / 0.31])


def test_a_ranker_that_was_asked_but_is_not_fused_keeps_its_ranks() -> None:
    candidates, judgements = tables({"q": [(-2.0, -1.0), (-1.0, -2.0)]})
    rankings = fuse_rankings(candidates, judgements, k=0, rankers=["relevance"])
    assert rankings["passage_id"].to_list() == ["p0", "p1"]
    assert rankings["query_likelihood_rank"].to_list() == [2, 1]
    unasked = with_labels(judgements, [None, None])
    rankings = fuse_rankings(candidates, unasked, k=0, rankers=["query_likelihood"])
    assert rankings["relevance_rank"].null_count() == 2


def test_rankings_to_compare_start_with_the_retriever_and_are_distinct() -> None:
    assert fret.ranker_sets(["retriever", "relevance", "query_likelihood"]) == [
        ["retriever"], ["query_likelihood"], ["relevance"], PAPER, [*PAPER, "retriever"],
    ]  # fmt: skip
    assert fret.ranker_sets(["relevance"]) == [
        ["retriever"], ["relevance"], ["relevance", "retriever"],
    ]  # fmt: skip
    assert fret.ranker_sets(["retriever"]) == [["retriever"]]


@pytest.mark.parametrize("rankers", [[], ["relevance", "relevance"], ["oracle"]])
def test_rankers_that_make_no_sense_are_refused(rankers: list[Ranker]) -> None:
    candidates, judgements = tables({"q": [(-1.0, -1.0)]})
    with pytest.raises(InputError, match=r"relabel\.rankers"):
        fuse_rankings(candidates, judgements, k=0, rankers=rankers)


def test_no_candidates_give_no_ranking() -> None:
    rankings = fuse_rankings(empty_table(CANDIDATE), empty_table(JUDGEMENT), k=0, rankers=PAPER)
    assert rankings.is_empty()
    assert rankings.schema == RANKING


PROMPTS = Prompts.model_validate(
    yaml.safe_load(
        (Path(__file__).resolve().parents[2] / "conf" / "prompts" / "gecko.yml").read_text("utf-8")
    )
)
PASSAGES = pl.DataFrame(
    {
        "passage_id": ["bread", "tower", "שמרים"],
        "title": [None, "Lighthouse", "🙂"],
        "text": ["Yeast makes bread rise.", "Oil lamps burn on the hill.", "שמרים הם פטריות"],
    }
)


def lexical() -> LexicalTeacher:
    knobs = {
        "mu": 100.0, "title_weight": 1.0, "lead_words": 5, "lead_weight": 1.0,
        "coverage_share": 1.0, "phrase_share": 0.0, "lead_share": 0.0,
        "form_shares": {"question": 1.0},
    }  # fmt: skip
    return LexicalTeacher.fit(PASSAGES["text"], settings=LexicalSettings(**knobs))


def judged(
    rankers: list[Ranker],
    *,
    max_tokens: int | None = None,
    queries_at_once: int = 9,
    teacher: LexicalTeacher | None = None,
) -> pl.DataFrame:
    queries = table(
        [
            {"query_id": "q0", "task": "t", "task_name": "search result", "query": "oil lamps",
             "passage_id": None, "origin": "log"},
            {"query_id": "q1", "task": "t", "task_name": "search result", "query": "שמרים",
             "passage_id": "שמרים", "origin": "synthetic"},
        ],
        QUERY,
    )  # fmt: skip
    pairs = [("q1", "שמרים"), ("q1", "tower"), ("q0", "bread"), ("q0", "tower")]
    candidates = pl.DataFrame(pairs, schema=["query_id", "passage_id"], orient="row")
    settings = fret.JudgeSettings(
        max_query_tokens=max_tokens, max_passage_tokens=max_tokens, queries_at_once=queries_at_once
    )
    return score_candidates(
        queries, candidates, PASSAGES, teacher=teacher or lexical(), prompts=PROMPTS,
        rankers=rankers, settings=settings,
    )[0]  # fmt: skip


def test_judgements_come_in_the_order_of_the_candidates_and_favour_what_fits() -> None:
    judgements = judged(PAPER)
    assert judgements.schema == JUDGEMENT
    assert judgements["passage_id"].to_list() == ["שמרים", "tower", "bread", "tower"]
    labels = judgements["label_log_likelihoods"]
    for values in (judgements["query_likelihood"].to_list(), labels.list.last().to_list()):
        assert values[0] > values[1]
        assert values[3] > values[2]
    assert (labels.list.len() == 4).all()
    assert not judgements["query_cut"].any()
    assert not judgements["passage_cut"].any()


def test_what_is_too_long_is_cut_and_marked() -> None:
    judgements = judged(PAPER, max_tokens=1)
    assert judgements["query_cut"].to_list() == [False, False, True, True]
    assert judgements["passage_cut"].to_list() == [True] * 4
    assert judged(PAPER, max_tokens=9).equals(judged(PAPER))


class Watched(LexicalTeacher):
    """It notes the passages of each call."""

    def query_log_likelihood(self, prefixes: Any, continuations: Any) -> Any:
        calls.append(("QL", [prefix.fields["passage"][:5] for prefix in prefixes]))
        return super().query_log_likelihood(prefixes, continuations)

    def label_log_likelihood(self, prompts: Any, labels: Any) -> Any:
        calls.append(("RC", [prompt.fields["passage"][:5] for prompt in prompts]))
        return super().label_log_likelihood(prompts, labels)


calls: list[tuple[str, list[str]]] = []


def test_the_rankers_take_turns_each_in_the_order_of_the_passages() -> None:
    calls.clear()
    plain = lexical()
    teacher = Watched(plain._collection, plain._settings)
    expected = judged(PAPER)
    assert judged(PAPER, teacher=teacher, queries_at_once=1).equals(expected)
    assert calls == [
        ("QL", ["Oil l", "שמרים"]), ("RC", ["Oil l", "שמרים"]),
        ("QL", ["Yeast", "Oil l"]), ("RC", ["Yeast", "Oil l"]),
    ]  # fmt: skip
    calls.clear()
    assert judged(PAPER, teacher=teacher, queries_at_once=2).equals(expected)
    assert calls[0] == ("QL", ["Yeast", "Oil l", "Oil l", "שמרים"])


def test_a_ranker_that_is_not_asked_for_gives_nulls() -> None:
    judgements = judged(["relevance", "retriever"])
    assert judgements["query_likelihood"].null_count() == 4
    assert judgements["label_log_likelihoods"].equals(judged(PAPER)["label_log_likelihoods"])


def test_candidates_of_unknown_passages_are_refused() -> None:
    queries = empty_table(QUERY)
    candidates = pl.DataFrame({"query_id": ["q"], "passage_id": ["p"]})
    with pytest.raises(InputError, match="query_id"):
        score_candidates(queries, candidates, PASSAGES, teacher=lexical(), prompts=PROMPTS)
