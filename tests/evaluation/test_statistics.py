import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score

from gecko_kedro.evaluation.comparing.bootstrap import (
    mean_of,
    paired_bootstrap,
    resampled_difference,
)
from gecko_kedro.evaluation.comparing.statistics import (
    statistic_of,
    weighted_average_precision,
    weighted_mean,
    weighted_spearman,
)


def weights(items: int, resamples: int = 20) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 4, size=(resamples, items)).astype(float)


@pytest.mark.parametrize("decimals", [1, 6])  # with and without many ties
def test_weighted_spearman_is_scipys_on_repeated_items(decimals: int) -> None:
    rng = np.random.default_rng(1)
    gold = np.round(rng.uniform(0, 5, 40), 0)
    values = np.round(gold + rng.normal(0, 2, 40), decimals)
    drawn = weights(40)
    found = weighted_spearman(values, gold, drawn)
    for row, times in enumerate(drawn.astype(int)):
        expected = spearmanr(np.repeat(values, times), np.repeat(gold, times)).statistic
        assert found[row] == pytest.approx(expected)


@pytest.mark.parametrize("decimals", [1, 6])
def test_weighted_average_precision_is_sklearns_on_repeated_items(decimals: int) -> None:
    rng = np.random.default_rng(2)
    gold = rng.integers(0, 2, 40).astype(float)
    values = np.round(gold + rng.normal(0, 1, 40), decimals)
    drawn = weights(40)
    found = weighted_average_precision(values, gold, drawn)
    for row, times in enumerate(drawn.astype(int)):
        expected = average_precision_score(np.repeat(gold, times), np.repeat(values, times))
        assert found[row] == pytest.approx(expected)


def test_a_constant_side_has_no_correlation_and_no_positives_no_precision() -> None:
    values, once = np.array([0.1, 0.2, 0.3]), np.ones((1, 3))
    assert weighted_spearman(values, np.zeros(3), once).tolist() == [0.0]
    assert weighted_average_precision(values, np.zeros(3), once).tolist() == [0.0]


def test_the_general_bootstrap_gives_the_means_of_the_quick_one() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.uniform(size=(2, 90))
    groups = [f"g{n % 13}" for n in range(90)]

    def other_mean(values: np.ndarray, gold: None, weights: np.ndarray) -> np.ndarray:
        return weighted_mean(values, gold, weights)

    quick = resampled_difference(a, b, groups, resamples=400, seed=5)
    general = resampled_difference(a, b, groups, resamples=400, seed=5, statistic=other_mean)
    assert general.difference == pytest.approx(quick.difference)
    # the draws come in blocks of other sizes, so only their distributions agree
    assert np.std(general.resamples) == pytest.approx(np.std(quick.resamples), rel=0.2)


def test_a_better_similarity_is_found_better_by_its_correlation() -> None:
    rng = np.random.default_rng(4)
    gold = rng.uniform(0, 5, 300)
    good, poor = gold + rng.normal(0, 1, 300), gold + rng.normal(0, 4, 300)
    names = [f"{n}" for n in range(300)]
    found = paired_bootstrap(
        good, poor, names, resamples=300, seed=1, statistic=statistic_of("STS"), gold=gold
    )
    expected = spearmanr(good, gold).statistic - spearmanr(poor, gold).statistic
    assert found.difference == pytest.approx(expected)
    assert found.verdict == "better"
    same = paired_bootstrap(
        good, good * 2, names, resamples=100, seed=1, statistic=statistic_of("STS"), gold=gold
    )
    assert (same.difference, same.low, same.high) == (0, 0, 0)


def test_tasks_count_alike_in_the_mean_of_them() -> None:
    rng = np.random.default_rng(5)
    large = resampled_difference(
        rng.uniform(0.1, 0.3, 900), np.zeros(900), [str(n) for n in range(900)],
        resamples=200, seed=1,
    )  # fmt: skip
    small = resampled_difference([0.0, 0.0, 0.0], [0.1, 0.1, 0.1], list("abc"), resamples=200,
                                 seed=1)  # fmt: skip
    both = mean_of([large, small])
    assert both.difference == pytest.approx((large.difference - 0.1) / 2)
    assert (both.queries, both.groups) == (903, 903)
    assert both.interval().verdict == "better"
    alone = resampled_difference([0.5, 0.5], [0.0, 0.0], ["a", "a"], resamples=200, seed=1)
    assert np.isnan(mean_of([large, alone]).interval().low)
