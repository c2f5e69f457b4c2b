"""A pilot: how large it is, and what it says about the whole."""

import pytest

from gecko_kedro.fret.pilot import estimate_table, pilot_size
from gecko_kedro.teacher.budget import Prices

FREE = Prices(prompt=None, completion=None)


@pytest.mark.parametrize(
    ("whole", "share", "size"),
    [(3000, None, 3000), (3000, 0.1, 300), (3000, 0.001, 20), (7, 0.5, 7), (0, 0.5, 0)],
)  # fmt: skip
def test_a_pilot_has_its_share_but_at_least_twenty(
    whole: int, share: float | None, size: int
) -> None:
    assert pilot_size(whole, share=share) == size


def cells(table: str, row: int) -> list[str]:
    return table.splitlines()[row].split()


def test_the_whole_is_the_pilot_times_the_ratio_of_seeds() -> None:
    used = {
        "generate_calls": 20.0, "generate_hits": 0.0, "generate_prompt_tokens": 1000.0,
        "generate_completion_tokens": 100.0, "generate_seconds_per_call": 0.5,
    }  # fmt: skip
    table = estimate_table(
        {"synthesize": used}, pilot=20, whole=2000, prices=Prices(prompt=10.0, completion=100.0)
    )
    wanted = ["2,000", "100,000", "10,000", "1,000", "2.00"]
    assert cells(table, 1) == ["synthesize", "generate", *wanted]
    assert cells(table, -1) == ["all", *wanted]


def test_a_pilot_that_runs_again_from_the_store_estimates_the_same() -> None:
    paid = {
        "label_log_likelihood_calls": 40.0, "label_log_likelihood_prompt_tokens": 400.0,
        "label_log_likelihood_completion_tokens": 40.0,
        "label_log_likelihood_seconds_per_call": 0.1,
    }  # fmt: skip
    stored = {
        "label_log_likelihood_hits": 40.0, "label_log_likelihood_hit_prompt_tokens": 400.0,
        "label_log_likelihood_hit_completion_tokens": 40.0,
        "label_log_likelihood_seconds_per_call": 0.1,
    }  # fmt: skip
    first, second = (
        estimate_table({"relabel": used}, pilot=20, whole=60, prices=FREE)
        for used in (paid, stored)
    )
    assert first == second
    assert cells(first, 1)[-1] == "-"
