"""A query with a candidate that the teacher refuses is set aside whole, never half scored."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
import yaml

from gecko_kedro import fret
from gecko_kedro.corpus.schemas import QUARANTINE_SCHEMA
from gecko_kedro.fret.schemas import JUDGEMENT, QUERY, table
from gecko_kedro.teacher import Prompt, Refused, Scored, ScoredLabels

PROMPTS = fret.Prompts.model_validate(
    yaml.safe_load(
        (Path(__file__).resolve().parents[2] / "conf" / "prompts" / "gecko.yml").read_text("utf-8")
    )
)
PASSAGES = pl.DataFrame(
    {"passage_id": ["a", "b", "c"], "title": [""] * 3, "text": ["ash", "beech", "cedar"]}
)
QUERIES = table(
    [
        {"query_id": name, "task": "t", "task_name": "search result", "query": f"query {name}",
         "passage_id": None, "origin": "log"}
        for name in ("q0", "q1", "q2")
    ],
    QUERY,
)  # fmt: skip
PAIRS = [("q0", "a"), ("q0", "b"), ("q1", "b"), ("q1", "c"), ("q2", "c"), ("q2", "a")]
CANDIDATES = pl.DataFrame(PAIRS, schema=["query_id", "passage_id"], orient="row")


class Picky:
    """It scores by length, refuses some (ranker, query, passage), and notes what it is asked."""

    identity = "picky"

    def __init__(self, *refused: tuple[str, str, str]) -> None:
        self._refused = refused
        self.asked: list[tuple[str, str, str]] = []

    def truncate(self, texts: Sequence[str], max_tokens: int) -> list[str]:
        return [text[:max_tokens] for text in texts]

    def query_log_likelihood(
        self, prefixes: Sequence[Prompt], continuations: Sequence[str]
    ) -> list[Scored | Refused]:
        return [
            self._answer("QL", query.strip(), prefix, Scored(-float(len(prefix.text)), 1, 1))
            for prefix, query in zip(prefixes, continuations, strict=True)
        ]

    def label_log_likelihood(
        self, prompts: Sequence[Prompt], labels: Sequence[str]
    ) -> list[ScoredLabels | Refused]:
        numbers = tuple(-float(n) for n in range(len(labels)))
        return [
            self._answer("RC", prompt.fields["query"], prompt, ScoredLabels(numbers, 1, 1))
            for prompt in prompts
        ]

    def _answer(self, ranker: str, query: str, prompt: Prompt, score):  # type: ignore[no-untyped-def]
        what = (ranker, query.removeprefix("query "), prompt.fields["passage"])
        self.asked.append(what)
        return Refused("HTTP 400: too long") if what in self._refused else score


def score(teacher: Picky, queries_at_once: int = 9) -> tuple[pl.DataFrame, pl.DataFrame]:
    return fret.score_candidates(
        QUERIES, CANDIDATES, PASSAGES, teacher=teacher, prompts=PROMPTS,  # type: ignore[arg-type]
        settings=fret.JudgeSettings(
            max_query_tokens=None, max_passage_tokens=None, queries_at_once=queries_at_once
        ),
    )  # fmt: skip


@pytest.mark.parametrize("queries_at_once", [1, 9])
def test_a_query_with_a_refused_candidate_has_no_judgement_and_the_others_have_theirs(
    queries_at_once: int,
) -> None:
    whole, none = score(Picky())
    teacher = Picky(("QL", "q0", "beech"), ("RC", "q2", "ash"))
    judgements, refused = score(teacher, queries_at_once)
    assert none.is_empty()
    assert judgements.equals(whole.filter(query_id="q1"))
    assert (judgements.schema, refused.schema) == (JUDGEMENT, QUARANTINE_SCHEMA)
    assert refused.select("row_id", "reason", "detail").rows() == [
        ("q0", "refused_by_endpoint", "query_likelihood of candidate b: HTTP 400: too long"),
        ("q2", "refused_by_endpoint", "relevance of candidate a: HTTP 400: too long"),
    ]
    # The second ranker is not paid for where the first has refused already.
    assert not [what for what in teacher.asked if what[:2] == ("RC", "q0")]
    left = fret.judged_candidates(CANDIDATES, judgements)
    assert left.rows() == [("q1", "b"), ("q1", "c")]


def test_candidates_that_are_not_side_by_side_are_dropped_together() -> None:
    mixed = pl.concat([CANDIDATES[:1], CANDIDATES[2:], CANDIDATES[1:2]])
    settings = fret.JudgeSettings(max_query_tokens=None, max_passage_tokens=None, queries_at_once=1)
    judgements, refused = fret.score_candidates(
        QUERIES, mixed, PASSAGES, teacher=Picky(("RC", "q0", "beech")), prompts=PROMPTS,  # type: ignore[arg-type]
        rankers=["relevance"], settings=settings,
    )  # fmt: skip
    assert set(judgements["query_id"]) == {"q1", "q2"}
    assert refused["row_id"].to_list() == ["q0"]
