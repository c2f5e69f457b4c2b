"""Held-out rows: apart from training, scored by hand, and able to stop a run."""

import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from gecko_kedro.base import events
from gecko_kedro.encoder.encoding import encode_texts
from gecko_kedro.encoder.formatting import GECKO, render_passage, render_query
from gecko_kedro.training import heldout as heldout_module
from gecko_kedro.training import job
from gecko_kedro.training.heldout import METRIC, heldout_score, split_heldout
from gecko_kedro.training.trainer import TrainResult, train_encoder
from tests.support.example_rows import example, table
from tests.support.small_training import SETTINGS, assert_equal_weights, changed, examples, weights
from tests.support.tiny_encoder import tiny_encoder


@pytest.mark.parametrize("rows", [0, 1, 7, 39, 40])
def test_no_text_of_a_held_out_row_is_trained_on(rows: int) -> None:
    repeated = pl.concat([examples(20), examples(20)])
    taught, heldout = split_heldout(repeated, rows=rows, seed=1)
    assert heldout.height == rows
    for name in ("query", "positive"):
        assert not taught[name].is_in(heldout[name].implode()).any()
    again = split_heldout(repeated, rows=rows, seed=1)
    assert again[0].equals(taught)
    assert again[1].equals(heldout)


def test_the_score_is_ndcg_at_10_among_the_passages_of_the_set() -> None:
    model = tiny_encoder()
    rows = [example(query=f"question {i}", positive=f"{i} answer", dataset="one",
                    negatives=[f"wrong {i}"]) for i in range(14)]  # fmt: skip
    rows.append(example(query="question 3", positive="another answer to it", dataset="one"))
    rows += [example(query=f"other {i}", positive=f"text {i}", dataset="two") for i in range(3)]
    heldout = table(*rows)
    by_hand = []
    for name in ("one", "two"):
        part = [row for row in rows if row["dataset"] == name]
        texts = sorted({str(row["positive"]) for row in part} | {
            negative["text"] for row in part for negative in row["negatives"]
        })  # fmt: skip
        vectors = encode_texts(model, [render_passage(None, t) for t in texts], batch_size=4)
        gains = []
        for row in part:
            query = render_query("search result", str(row["query"]))
            scores = vectors @ encode_texts(model, [query], batch_size=1)[0]
            others = {
                str(other["positive"])
                for other in part
                if other["query"] == row["query"] and other is not row
            }
            own = scores[texts.index(str(row["positive"]))]
            better = sum(
                score >= own
                for text, score in zip(texts, scores, strict=True)
                if text not in others and text != row["positive"]
            )
            gains.append(1 / math.log2(2 + better) if better < 10 else 0)
        by_hand.append(np.mean(gains))
    assert heldout_score(model, heldout, templates=GECKO) == pytest.approx(np.mean(by_hand))


def run(folder: Path, **values: object) -> TrainResult:
    settings = changed(**{"heldout_rows": 8, "evaluation_steps": 2, "epochs": 3} | values)
    return train_encoder(
        tiny_encoder(), examples(40), settings=settings, loss="gecko", name="watched",
        checkpoints=folder,
    )  # fmt: skip


def test_looking_at_held_out_rows_is_logged_with_the_step_and_keeps_the_best(
    tmp_path: Path,
) -> None:
    seen: dict[int, float] = {}
    with events.listening(
        lambda name, step, values: seen.update({step: values[METRIC]} if METRIC in values else {})
    ):
        result = run(tmp_path)
    steps = int(result.metrics["steps"])
    assert sorted(seen) == sorted({*range(2, steps + 1, 2), steps})
    assert result.metrics[METRIC] == max(seen.values())
    best = min(step for step, score in seen.items() if score == max(seen.values()))
    assert result.metrics["best_step"] == best
    assert not result.metrics["stopped_early"]
    _, heldout = split_heldout(examples(40), rows=8, seed=SETTINGS.seed)
    model = result.model
    model.max_seq_length = SETTINGS.max_seq_length
    assert heldout_score(model, heldout, templates=GECKO) == pytest.approx(max(seen.values()))


def falling(monkeypatch: pytest.MonkeyPatch, scores: list[float]) -> None:
    """Scores that are given, not measured: only what is done about them is tested."""
    left = iter(scores)
    monkeypatch.setattr(heldout_module, "heldout_score", lambda *_, **__: next(left))


def test_a_run_whose_score_falls_stops_early_with_the_best_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    falling(monkeypatch, [0.5, 0.7, 0.6, 0.7])
    result = run(tmp_path / "stopped", patience=2)
    assert result.metrics["steps"] == 8
    assert result.metrics["best_step"] == 4
    assert result.metrics["stopped_early"]
    falling(monkeypatch, [0.5, 0.7])
    settings = {"patience": 2, "checkpoint_steps": 1}
    full = run(tmp_path / "stopped", **settings)  # nothing is scored again beyond what it saw
    assert full.metrics["best_step"] == 4
    assert_equal_weights(weights(full.model), weights(result.model))


def test_a_run_that_stops_before_its_first_log_has_a_history_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    falling(monkeypatch, [0.5, 0.4])
    monkeypatch.setattr(job, "_LOGGED_POINTS", 1)
    result = run(tmp_path, patience=1)
    assert result.history["step"].to_list() == [4]


def test_a_resumed_run_stops_where_it_would_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    falling(monkeypatch, [0.5, 0.4, 0.3, 0.2])
    whole = run(tmp_path / "whole", patience=3, checkpoint_steps=3)

    def interrupted(*_: object, **__: object) -> float:
        if not scores:
            raise KeyboardInterrupt
        return scores.pop(0)

    scores = [0.5, 0.4]
    monkeypatch.setattr(heldout_module, "heldout_score", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", patience=3, checkpoint_steps=3)
    falling(monkeypatch, [0.4, 0.3, 0.2])  # from the checkpoint of step 3: steps 4, 6 and 8
    resumed = run(tmp_path / "cut", patience=3, checkpoint_steps=3)
    assert resumed.metrics["steps_resumed"] == 3
    assert resumed.metrics["steps"] == whole.metrics["steps"] == 8
    assert_equal_weights(weights(resumed.model), weights(whole.model))


def test_looking_does_not_change_what_is_learnt(tmp_path: Path) -> None:
    often, rarely = (run(tmp_path / str(n), evaluation_steps=n) for n in (1, 100))
    assert often.history.equals(rarely.history)
