import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gecko_kedro.base.errors import InputError
from gecko_kedro.evaluation.comparing import bootstrap
from gecko_kedro.evaluation.comparing.bootstrap import paired_bootstrap

scores = st.lists(st.floats(0, 1), min_size=2, max_size=60)


def own_groups(count: int) -> list[str]:
    return [f"q{n}" for n in range(count)]


@given(values=scores, seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=50)
def test_a_model_compared_with_itself_is_not_shown_to_differ(
    values: list[float], seed: int
) -> None:
    found = paired_bootstrap(values, values, own_groups(len(values)), resamples=200, seed=seed)
    assert (found.difference, found.low, found.high, found.p) == (0, 0, 0, 1)
    assert found.verdict == "not shown"


@given(a=scores, shift=st.floats(0.01, 1), seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=50)
def test_a_constant_shift_is_found_exactly(a: list[float], shift: float, seed: int) -> None:
    better = [value + shift for value in a]
    found = paired_bootstrap(better, a, own_groups(len(a)), resamples=200, seed=seed)
    assert (found.low, found.high) == (pytest.approx(shift), pytest.approx(shift))
    assert found.verdict == "better"
    assert paired_bootstrap(a, better, own_groups(len(a)), resamples=200, seed=seed).verdict == (
        "worse"
    )


def test_the_interval_of_independent_queries_is_the_textbook_one() -> None:
    rng = np.random.default_rng(0)
    difference = rng.normal(0.02, 0.2, 2_000)
    found = paired_bootstrap(
        difference, np.zeros(2_000), own_groups(2_000), resamples=10_000, seed=1
    )
    standard_error = difference.std(ddof=1) / np.sqrt(2_000)
    assert found.low == pytest.approx(difference.mean() - 1.96 * standard_error, abs=5e-4)
    assert found.high == pytest.approx(difference.mean() + 1.96 * standard_error, abs=5e-4)


def test_queries_that_move_together_widen_the_interval() -> None:
    rng = np.random.default_rng(0)
    by_group = np.repeat(rng.normal(0.0, 0.2, 40), 25)
    groups = np.repeat([f"g{n}" for n in range(40)], 25).tolist()
    together = paired_bootstrap(by_group, np.zeros(1000), groups, resamples=2000, seed=1)
    apart = paired_bootstrap(by_group, np.zeros(1000), own_groups(1000), resamples=2000, seed=1)
    assert together.groups == 40
    # the standard error of 40 independent values is sqrt(25) times that of 1000
    assert (together.high - together.low) / (apart.high - apart.low) == pytest.approx(5, rel=0.15)


def test_a_resample_weighs_groups_by_their_queries() -> None:
    found = paired_bootstrap(
        [1, 1, 1, 0], [0, 0, 0, 0], ["large", "large", "large", "small"], resamples=500, seed=3
    )
    assert found.difference == 0.75
    assert (found.low, found.high) == (0, 1)


def test_it_is_deterministic_and_the_block_size_does_not_matter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a = np.random.default_rng(0).uniform(size=50)
    arguments = (a, 1 - a, own_groups(50))
    first = paired_bootstrap(*arguments, resamples=999, seed=5)
    monkeypatch.setattr(bootstrap, "_BLOCK", 70)  # one resample at a time
    assert paired_bootstrap(*arguments, resamples=999, seed=5) == first
    assert paired_bootstrap(*arguments, resamples=999, seed=6) != first


def test_one_group_gives_no_interval_and_no_verdict() -> None:
    found = paired_bootstrap([1.0, 1.0], [0.0, 0.0], ["g", "g"], resamples=100, seed=0)
    assert np.isnan([found.low, found.high, found.p]).all()
    assert (found.difference, found.verdict) == (1, "not shown")


def test_p_is_never_zero_and_shrinks_with_resamples() -> None:
    found = paired_bootstrap([1.0] * 9, [0.0] * 9, own_groups(9), resamples=999, seed=0)
    assert found.p == pytest.approx(2 / 1000)


def test_chance_alone_is_called_a_difference_about_one_time_in_twenty() -> None:
    rng = np.random.default_rng(0)
    verdicts = [
        paired_bootstrap(
            rng.normal(size=100), np.zeros(100), own_groups(100), resamples=400, seed=trial
        ).verdict
        for trial in range(400)
    ]
    assert 0.02 < 1 - verdicts.count("not shown") / 400 < 0.10


@pytest.mark.parametrize(("a", "groups"), [([], []), ([0.5], ["g", "h"])])
def test_no_queries_or_wrong_groups_are_refused(a: list[float], groups: list[str]) -> None:
    with pytest.raises(InputError, match="paired bootstrap"):
        paired_bootstrap(a, a, groups, resamples=10, seed=0)
