"""A query that does not find its own passage is set aside; by words or by vectors is enough."""

import logging
from itertools import pairwise

import polars as pl
import pytest

from gecko_kedro import encoder, fret
from gecko_kedro.corpus.quarantine import quarantine_table
from gecko_kedro.encoder.settings import LoadSettings
from gecko_kedro.fret.round_trip import round_trip
from gecko_kedro.fret.schemas import QUERY

SUBJECTS = ["tides", "yeast", "bridges", "copper", "falcons", "glaciers", "looms", "comets"]
PASSAGES = pl.DataFrame(
    {
        "passage_id": SUBJECTS,
        "title": [None, *SUBJECTS[1:]],
        "text": [f"All that is known of {subject}, in a few words." for subject in SUBJECTS],
    }
)
BEST = fret.RoundTripSettings(rank=1)


def queries(*rows: tuple[str, str | None]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "query_id": f"q{i}", "task": "Find it.", "task_name": "search result",
                "query": query, "passage_id": seed, "origin": "synthetic",
            }
            for i, (query, seed) in enumerate(rows)
        ],
        schema=QUERY,
    )  # fmt: skip


def test_a_query_of_other_words_is_saved_by_the_embedder_and_a_wrong_one_is_not() -> None:
    asked = queries(
        ("what is known of copper", "copper"),
        ("the rise and fall of the sea along the coast", "tides"),  # no word in common
        ("what is known of falcons", "looms"),
        ("typed by somebody", None),
    )
    kept, gone = round_trip(asked, PASSAGES, BEST)
    assert kept["query_id"].to_list() == ["q0", "q1", "q3"]
    (row,) = quarantine_table(gone).to_dicts()
    assert (row["row_id"], row["reason"]) == ("q2", "round_trip")
    assert "what is known of falcons" in row["record"]
    assert "best 1" in row["detail"]


def test_no_passage_is_embedded_where_words_find_every_seed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(encoder, "encode_texts", lambda *_, **__: pytest.fail("embedded"))
    asked = queries(*((f"about {subject}", subject) for subject in SUBJECTS))
    kept, gone = round_trip(asked, PASSAGES, BEST)
    assert kept.equals(asked)
    assert gone == []


def test_the_rank_decides_and_null_switches_it_off() -> None:
    wrong = queries(("what is known of falcons", "looms"))
    for rank, height in ((1, 0), (len(SUBJECTS), 1), (100, 1), (None, 1)):
        kept, _ = round_trip(wrong, PASSAGES, fret.RoundTripSettings(rank=rank))
        assert kept.height == height, rank


def test_a_teacher_that_is_too_weak_is_told_before_labels_are_paid_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    wrong = queries(*((f"about {a}", b) for a, b in pairwise(SUBJECTS)))
    with caplog.at_level(logging.WARNING):
        kept, gone = round_trip(wrong, PASSAGES, BEST, load=LoadSettings(max_seq_length=32))
    assert kept.is_empty()
    assert len(gone) == len(SUBJECTS) - 1
    assert "100 % of the queries do not find the passage" in caplog.text


def test_no_queries_are_no_work() -> None:
    kept, gone = round_trip(queries(), PASSAGES, BEST)
    assert kept.is_empty()
    assert gone == []
