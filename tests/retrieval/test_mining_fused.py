"""The fused call of the extension against the same steps one after the other in NumPy."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gecko_kedro.base.errors import InputError
from gecko_kedro.retrieval import Exclusions, Index, MinedNegatives, SearchCancelled, mine_negatives
from gecko_kedro.retrieval.levels import NUMPY, VARIABLE, packed_type
from gecko_kedro.retrieval.torch_index import TorchIndex
from tests.support.random_vectors import make_vectors


def assert_same(mined: MinedNegatives, expected: MinedNegatives, route: str = "") -> None:
    assert list(mined.counts.items()) == list(expected.counts.items()), route
    for name in ("ids", "scores", "unfilled"):
        one, other = getattr(mined, name), getattr(expected, name)
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other, err_msg=f"{name} {route}", strict=True)


def composed(vectors, queries, positives, **options) -> MinedNegatives:
    """By the route that has no extension: NumPy's search, filters and draws."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, NUMPY)
        return mine_negatives(Index(vectors), queries, positives, **options)


def margins(low: float, high: float):
    return st.none() | st.floats(low, high, width=32)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    shape=st.sampled_from(("gaussian", "duplicates", "zeros", "unnormalised")),
    q=st.sampled_from((0, 1, 2, 40)),
    n=st.sampled_from((0, 1, 70, 300)),
    d=st.sampled_from((1, 16, 33)),
    k=st.sampled_from((0, 1, 30, 400)),
    n_negatives=st.sampled_from((0, 1, 7)),
    strategy=st.sampled_from(("top", "random", "last")),
    seed=st.integers(0, 2**64 - 1),
    window=st.none() | st.tuples(st.integers(-1, 5), st.integers(0, 500)),
    scores=st.tuples(margins(-2, 5), margins(-5, 2)),
    relative=margins(-3, 3),
    absolute=margins(-3, 3),
    threads=st.sampled_from((1, 2)),
)
def test_it_gives_the_same_bits(
    *, level, shape, q, n, d, k, n_negatives, strategy, seed, window, scores, relative, absolute,
    threads,
):  # fmt: skip
    passages, queries = make_vectors(shape, n, d, 1), make_vectors("gaussian", q, d, 2)
    random = np.random.default_rng(seed)
    positives = [random.integers(n, size=random.integers(4)) if n else [] for _ in range(q)]
    options = {
        "k": k, "n_negatives": n_negatives, "strategy": strategy, "seed": seed,
        "rank_window": window, "max_score": scores[0], "min_score": scores[1],
        "relative_margin": relative, "absolute_margin": absolute,
        "query_ids": random.integers(2**63, size=q),
        "exclude": [random.integers(-1, n + 1, size=3) for _ in range(q)],
    }  # fmt: skip
    expected = composed(passages, queries, positives, **options)
    assert_same(
        mine_negatives(Index(passages), queries, positives, **options, threads=threads), expected
    )


OPTIONS = {
    "k": 30, "n_negatives": 4, "strategy": "random", "seed": 9, "rank_window": (1, 25),
    "max_score": 19.0, "min_score": 11.0, "absolute_margin": -15.0, "relative_margin": -9.0,
}  # fmt: skip
POSITIVES = [list(range(row % 3)) for row in range(90)]


def test_every_route_mines_the_same(level, tmp_path: Path):
    passages, queries = make_vectors("gaussian", 900, 40, 3), make_vectors("gaussian", 90, 40, 4)
    expected = composed(passages, queries, POSITIVES, **OPTIONS)
    assert all(number > 0 for number in expected.counts.values()), expected.counts
    np.save(tmp_path / "passages.npy", passages)
    mapped = np.load(tmp_path / "passages.npy", mmap_mode="r")
    packed = packed_type(level) or "auto"
    routes = {
        "in memory": Index(passages),
        "packed": Index(passages, dtype=packed),
        "column-major": Index(np.asfortranarray(passages)),
        "memory map": Index(mapped),
        "memory map, rounded as it is read": Index(mapped, dtype=packed),
        "torch": TorchIndex(passages),
    }
    for name, index in routes.items():
        mined = mine_negatives(index, queries, Exclusions.from_lists(POSITIVES), **OPTIONS)
        assert_same(mined, expected, name)


@pytest.mark.parametrize("kind", [np.float16, np.float64])
def test_other_number_types_and_layouts_of_queries_mine_the_same(level, kind):
    passages = make_vectors("gaussian", 300, 21, 5).astype(kind)
    queries = make_vectors("gaussian", 90, 21, 6).astype(kind)
    expected = composed(passages, queries, POSITIVES, **OPTIONS)
    assert_same(mine_negatives(Index(passages), queries, POSITIVES, **OPTIONS), expected)
    reversed_twice = np.ascontiguousarray(queries[::-1])[::-1]
    assert_same(mine_negatives(Index(passages), reversed_twice, POSITIVES, **OPTIONS), expected)


def test_no_split_of_the_queries_changes_a_row(level):
    passages, queries = make_vectors("gaussian", 400, 24, 7), make_vectors("gaussian", 90, 24, 8)
    whole = mine_negatives(Index(passages), queries, POSITIVES, **OPTIONS)
    for start, stop in ((0, 1), (1, 40), (40, 90)):
        part = mine_negatives(
            Index(passages), queries[start:stop], POSITIVES[start:stop],
            query_ids=np.arange(start, stop), **OPTIONS,
        )  # fmt: skip
        assert part.ids.tobytes() == whole.ids[start:stop].tobytes()
        assert part.scores.tobytes() == whole.scores[start:stop].tobytes()


def test_progress_is_told_the_finished_share_and_may_cancel(level):
    vectors = make_vectors("gaussian", 90, 8, 1)
    shares: list[float] = []
    mine_negatives(Index(vectors), vectors, POSITIVES, progress=shares.append, **OPTIONS)
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)
    with pytest.raises(SearchCancelled):
        mine_negatives(Index(vectors), vectors, POSITIVES, progress=lambda _: False, **OPTIONS)


def test_a_file_cut_under_the_index_is_refused(level, tmp_path: Path):
    np.save(tmp_path / "passages.npy", make_vectors("gaussian", 20_000, 32, 1))
    index = Index(np.load(tmp_path / "passages.npy", mmap_mode="r"))
    with (tmp_path / "passages.npy").open("r+b") as file:
        file.truncate(100_000)
    queries = make_vectors("gaussian", 90, 32, 2)
    with pytest.raises(InputError, match="a file that keeps its"):
        mine_negatives(index, queries, POSITIVES, **OPTIONS)
