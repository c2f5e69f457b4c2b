"""Popularity against its definition, and what ranking by likelihood makes of a search."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray

from gecko_kedro import retrieval
from gecko_kedro.base.errors import InputError

Rows = NDArray[np.float32]


def unit_rows(n: int, d: int, *, seed: int) -> Rows:
    rows = np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def blocks(rows: Rows, largest: int, size: int) -> Iterator[Rows]:
    """All rows, in blocks of at most ``largest`` whatever is allowed."""
    step = min(size, largest)
    return (rows[start : start + step] for start in range(0, len(rows), step))


@pytest.mark.parametrize("temperature", [0.005, 0.05, 1.0])
@pytest.mark.parametrize("largest", [1, 7, 10_000])
def test_it_is_the_definition_whatever_the_blocks(temperature: float, largest: int) -> None:
    queries, passages = unit_rows(31, 12, seed=1), unit_rows(23, 12, seed=2)
    found = retrieval.popularity(
        partial(blocks, queries, largest), partial(blocks, passages, largest),
        temperature=temperature,
    )  # fmt: skip
    scores = passages.astype(np.float64) @ queries.T.astype(np.float64)
    expected = temperature * np.log(np.exp(scores / temperature).mean(axis=1))
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_without_queries_it_says_so() -> None:
    none, passages = unit_rows(0, 4, seed=1), unit_rows(3, 4, seed=2)
    with pytest.raises(InputError, match="at least one query"):
        retrieval.popularity(partial(blocks, none, 5), partial(blocks, passages, 5), temperature=1)


def test_a_passage_near_to_everything_gives_way_to_the_one_that_is_asked_for() -> None:
    # The hub is nearer to each query than the query's own passage is.
    queries = np.eye(4, dtype=np.float32)
    hub = np.full((1, 4), 0.5, dtype=np.float32)
    passages = np.vstack([hub, 0.45 * queries])
    found = retrieval.Index(passages).search(queries, 5)
    assert (found.ids[:, 0] == 0).all()
    popular = retrieval.popularity(
        partial(blocks, queries, 9), partial(blocks, passages, 9), temperature=0.05
    )
    best = retrieval.by_likelihood(found, popular, 2)
    assert best.ids[:, 0].tolist() == [1, 2, 3, 4]
    np.testing.assert_allclose(best.scores[:, 0], 0.45, atol=1e-6)


def test_the_order_is_that_of_the_likelihoods_and_padding_stays_last() -> None:
    queries, passages = unit_rows(40, 6, seed=3), unit_rows(9, 6, seed=4)
    found = retrieval.Index(passages).search(queries, 12)  # three more than there are
    popular = retrieval.popularity(
        partial(blocks, queries, 9), partial(blocks, passages, 9), temperature=0.1
    )
    best = retrieval.by_likelihood(found, popular, 11)
    scores = queries.astype(np.float64) @ passages.T.astype(np.float64)
    likelihood = np.exp(scores / 0.1) / np.exp(scores / 0.1).sum(axis=0)  # P(q | p) of each column
    assert np.array_equal(best.ids[:, :9], np.argsort(-likelihood, axis=1))
    assert (best.ids[:, 9:] == -1).all()
    less = retrieval.score_less_popularity(best.scores, best.ids, popular)
    expected = 0.1 * np.log(40 * np.take_along_axis(likelihood, best.ids[:, :9], axis=1))
    np.testing.assert_allclose(less[:, :9], expected, atol=2e-6)
    assert (less[:, 9:] == -np.inf).all()
