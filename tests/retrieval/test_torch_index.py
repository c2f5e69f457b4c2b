"""The route on a GPU, run on torch's CPU device, and on CUDA where there is one: the same bits."""

import ml_dtypes
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from gecko_kedro.base.errors import InputError
from gecko_kedro.retrieval import Index, SearchCancelled, mine_negatives, torch_index
from gecko_kedro.retrieval.torch_index import TorchIndex
from tests.support.oracle import assert_is_exact
from tests.support.random_vectors import SHAPES, WIDTHS, make_vectors

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def assert_same(found, expected):
    np.testing.assert_array_equal(found.ids, expected.ids)
    np.testing.assert_array_equal(found.scores.view(np.int32), expected.scores.view(np.int32))


@pytest.mark.parametrize("device", DEVICES)
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    n=st.sampled_from((*WIDTHS, 500)),
    q=st.sampled_from(WIDTHS),
    d=st.sampled_from(WIDTHS),
    k=st.sampled_from((0, 1, 2, 12, 33, 600)),
    shape=st.sampled_from(SHAPES),
    element=st.sampled_from((np.float32, np.float16, ml_dtypes.bfloat16)),
    chunk=st.sampled_from((1, 64, 1000, 1 << 25)),
    at_once=st.sampled_from((3, 1024)),
    seed=st.integers(0, 2**16),
)
def test_the_device_changes_no_bit(
    *, monkeypatch, device, n, q, d, k, shape, element, chunk, at_once, seed
):
    assume(not (element == np.float16 and shape == "unnormalised"))
    monkeypatch.setattr(torch_index, "_SCORES_AT_ONCE", chunk)
    monkeypatch.setattr(torch_index, "_NUMBERS_AT_ONCE", chunk)
    monkeypatch.setattr(torch_index, "_QUERIES_AT_ONCE", at_once)
    passages = make_vectors(shape, n, d, seed).astype(element)
    queries = make_vectors("gaussian" if shape == "unnormalised" else shape, q, d, seed + 1)
    hidden = [[(row * 7) % (n + 1), 0, -5, n + 9] if row % 3 else [] for row in range(q)]
    index = TorchIndex(passages, device=device)
    found = index.search(queries, k, exclude=hidden)
    assert found.recall == 1
    if shape != "unnormalised":
        assert_is_exact(found, queries, passages, k, hidden)
    exact = Index(passages)
    assert_same(found, exact.search(queries, k, exclude=hidden))
    pairs = index.score_pairs(queries, found.ids)
    np.testing.assert_array_equal(pairs, exact.score_pairs(queries, found.ids))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_tensors_stay_where_they_are(device, kind):
    vectors = torch.from_numpy(make_vectors("gaussian", 90, 12, 1)).to(device, kind)
    index = TorchIndex(vectors)
    assert index.vectors.device == vectors.device
    assert_same(index.search(vectors[:5], 4), Index(vectors).search(vectors[:5], 4))


def test_a_lower_precision_of_products_is_not_used_and_is_restored():
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        passages, queries = make_vectors("gaussian", 900, 64, 1), make_vectors("grid", 9, 64, 2)
        found = TorchIndex(passages).search(queries, 5)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)
    assert_same(found, Index(passages).search(queries, 5))


def test_negatives_are_mined_on_a_device_like_on_the_cpu():
    passages, queries = make_vectors("gaussian", 300, 12, 1), make_vectors("gaussian", 20, 12, 2)
    options = {"k": 30, "n_negatives": 3, "strategy": "random", "seed": 5, "relative_margin": 0.05}
    positives = [[row] for row in range(20)]
    theirs = mine_negatives(TorchIndex(passages), queries, positives, **options)
    ours = mine_negatives(Index(passages), queries, positives, **options)
    assert_same(theirs, ours)
    assert theirs.counts == ours.counts


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e30])
def test_a_number_that_cannot_be_scored_is_refused_with_its_row(bad):
    vectors = np.ones((40, 5), dtype=np.float32)
    vectors[31, 2] = bad
    with pytest.raises(InputError, match="vectors, row 31"):
        TorchIndex(vectors)
    with pytest.raises(InputError, match="queries, row 31"):
        TorchIndex(vectors[:4]).search(vectors, 1)


def test_arguments_that_do_not_fit_are_refused():
    index, rows = TorchIndex(np.ones((3, 4), dtype=np.float32)), np.ones((2, 4), dtype=np.float32)
    for wrong in (
        np.zeros(3),
        np.zeros((2, 2), dtype=np.int64),
        torch.zeros(2, 2, dtype=torch.int),
    ):
        with pytest.raises(InputError, match="matrix"):
            TorchIndex(wrong)
    with pytest.raises(InputError, match="4 columns"):
        index.search(rows[:, :3], 1)
    with pytest.raises(InputError, match="k of at least 0"):
        index.search(rows, -1)
    with pytest.raises(InputError, match="2 rows of ids below 3"):
        index.score_pairs(rows, [[0], [3]])


def test_progress_reports_and_cancels():
    index, shares = TorchIndex(np.ones((300, 8), dtype=np.float32)), []
    index.search(np.ones((5, 8), dtype=np.float32), 3, progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)
    with pytest.raises(SearchCancelled):
        index.search(np.ones((5, 8), dtype=np.float32), 3, progress=lambda _: False)
