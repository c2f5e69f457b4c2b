"""Searches against full sorts in float64, at every instruction set."""

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gecko_kedro.retrieval import Exclusions, Index
from gecko_kedro.retrieval.levels import VARIABLE, packed_type
from tests.support.oracle import assert_is_exact
from tests.support.random_vectors import SHAPES, WIDTHS, make_vectors

BFLOAT16 = ml_dtypes.bfloat16


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    n=st.sampled_from((*WIDTHS, 500, 2500)),
    q=st.sampled_from(WIDTHS),
    d=st.sampled_from(WIDTHS),
    k=st.sampled_from((0, 1, 2, 12, 20, 33, 3000)),
    shape=st.sampled_from(SHAPES),
    threads=st.sampled_from((1, 2)),
    dtype=st.sampled_from(("auto", "float32", "packed")),
    element=st.sampled_from((np.float32, np.float16, BFLOAT16)),
    seed=st.integers(0, 2**16),
)
def test_search_equals_brute_force_in_float64(
    *, level, n, q, d, k, shape, threads, dtype, element, seed
):
    assume(not (element == np.float16 and shape == "unnormalised"))  # its largest number is 65504
    passages = make_vectors(shape, n, d, seed).astype(element)
    queries = make_vectors("gaussian" if shape == "unnormalised" else shape, q, d, seed + 1)
    excluded = [[(row * 7) % (n + 1), 0, -5, n + 9] if row % 3 else [] for row in range(q)]
    index = Index(passages, dtype=(packed_type(level) or "auto") if dtype == "packed" else dtype)
    found = index.search(queries, k, exclude=excluded, threads=threads)
    if shape != "unnormalised":
        assert_is_exact(found, queries, passages, k, excluded)
    reference = forced("numpy", lambda: Index(passages).search(queries, k, exclude=excluded))
    np.testing.assert_array_equal(found.ids, reference.ids)
    np.testing.assert_array_equal(found.scores.view(np.int32), reference.scores.view(np.int32))


def forced(level, function):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, level)
        return function()


def test_threads_and_chunks_of_queries_change_no_bit(level):
    passages, queries = make_vectors("gaussian", 9000, 40, 1), make_vectors("gaussian", 90, 40, 2)
    index = Index(passages)
    whole = index.search(queries, 7, threads=1)
    for threads in (2, 5):
        again = index.search(queries, 7, threads=threads)
        assert (again.ids == whole.ids).all()
        assert (again.scores == whole.scores).all()
    pieces = [index.search(queries[i : i + 37], 7) for i in range(0, 90, 37)]
    assert (np.concatenate([piece.ids for piece in pieces]) == whole.ids).all()
    assert (np.concatenate([piece.scores for piece in pieces]) == whole.scores).all()


def test_any_memory_layout_gives_the_same_result(level, tmp_path: Path):
    passages, queries = make_vectors("gaussian", 700, 33, 3), make_vectors("gaussian", 20, 33, 4)
    expected = Index(passages).search(queries, 5)
    np.save(tmp_path / "passages.npy", passages)
    misaligned = np.frombuffer(b"x" + passages.tobytes(), dtype=np.uint8)[1:].view(np.float32)
    layouts = {
        "read-only memory map": np.load(tmp_path / "passages.npy", mmap_mode="r"),
        "column-major": np.asfortranarray(passages),
        "every other row": np.repeat(passages, 2, axis=0)[::2],
        "every other column": np.repeat(passages, 2, axis=1)[:, ::2],
        "backwards in memory": np.ascontiguousarray(passages[::-1, ::-1])[::-1, ::-1],
        "misaligned": misaligned.reshape(passages.shape),
        "float64": passages.astype(np.float64),
    }
    for name, layout in layouts.items():
        found = Index(layout).search(np.asfortranarray(queries), 5)
        assert (found.ids == expected.ids).all(), name
        assert (found.scores == expected.scores).all(), name


def test_float16_is_widened_exactly(level):
    random = np.random.default_rng(5)
    passages = random.normal(size=(301, 35)).astype(np.float16)
    passages[7], passages[8] = 65504, 6e-8  # the largest number and the smallest
    queries = random.normal(size=(9, 35)).astype(np.float16)
    found = Index(passages).search(queries, 12)
    wide = Index(passages.astype(np.float32)).search(queries.astype(np.float32), 12)
    assert (found.ids == wide.ids).all()
    assert (found.scores == wide.scores).all()
    assert_is_exact(found, queries, passages, 12)


def as_bfloat16(rows: NDArray[np.float32]) -> NDArray[np.generic]:
    return rows.astype(BFLOAT16)


def test_bfloat16_is_widened_exactly_whoever_holds_it(level, tmp_path: Path):
    rows = make_vectors("gaussian", 301, 35, 5)
    rows[7], rows[8] = 1e17, 1e-40  # a large number and one below the smallest normal one
    bits = as_bfloat16(rows)
    queries = as_bfloat16(make_vectors("gaussian", 9, 35, 6))
    wide = Index(bits.astype(np.float32)).search(queries.astype(np.float32), 12)
    assert_is_exact(wide, queries.astype(np.float32), bits.astype(np.float32), 12)
    bits.view(np.uint16).tofile(tmp_path / "bits")
    mapped = np.memmap(tmp_path / "bits", dtype=np.uint16, mode="r", shape=rows.shape)
    tensor = torch.from_numpy(bits.view(np.uint16).copy()).view(torch.bfloat16)
    misaligned = np.frombuffer(b"x" + bits.tobytes(), dtype=np.uint8)[1:].view(np.uint16)
    holders = {
        "ml_dtypes": Index(bits),
        "column-major": Index(np.asfortranarray(bits)),
        "every other row": Index(np.repeat(bits, 2, axis=0)[::2]),
        "torch": Index(tensor),
        "torch, transposed twice": Index(tensor.T.contiguous().T),
        "memory map of uint16": Index(mapped, stored_as="bfloat16"),
        "misaligned": Index(misaligned.reshape(rows.shape), stored_as="bfloat16"),
    }
    asked = torch.from_numpy(queries.view(np.uint16)).view(torch.bfloat16)
    for name, index in holders.items():
        found = index.search(asked, 12)
        np.testing.assert_array_equal(found.ids, wide.ids, err_msg=name)
        np.testing.assert_array_equal(found.scores, wide.scores, err_msg=name)
        assert (index.score_pairs(queries, found.ids) == found.scores).all()


@pytest.mark.parametrize("kind", [torch.float16, torch.float32, torch.float64])
def test_tensors_are_searched_like_arrays(level, kind):
    passages = torch.from_numpy(make_vectors("gaussian", 90, 12, 1)).to(kind).requires_grad_()
    queries = torch.from_numpy(make_vectors("gaussian", 5, 12, 2)).to(kind)
    found = Index(passages).search(queries, 4)
    expected = Index(passages.detach().numpy()).search(queries.numpy(), 4)
    assert (found.ids == expected.ids).all()
    assert (found.scores == expected.scores).all()


def test_a_row_repeated_in_memory_is_a_tie_in_order_of_id(level):
    passages = np.broadcast_to(np.float32([0.6, 0.8]), (40000, 2))  # row stride 0
    found = Index(passages).search(np.float32([[1, 1], [-1, 0]]), 4, exclude=[[1], []])
    assert found.ids.tolist() == [[0, 2, 3, 4], [0, 1, 2, 3]]


def test_exclusions_in_csr_form_may_be_unsorted(level):
    passages = np.eye(6, dtype=np.float32)
    exclude = Exclusions(np.array([0, 3, 3]), np.array([4, 0, 2]))
    found = Index(passages).search(np.ones((2, 6), dtype=np.float32), 6, exclude=exclude)
    assert found.ids.tolist() == [[1, 3, 5, -1, -1, -1], [0, 1, 2, 3, 4, 5]]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_number_type_of_the_first_pass_changes_no_bit(level, shape, tmp_path: Path):
    passages, queries = make_vectors(shape, 1500, 50, 8), make_vectors("gaussian", 45, 50, 9)
    expected = forced("numpy", lambda: Index(passages).search(queries, 15))
    np.save(tmp_path / "passages.npy", passages)
    mapped = np.load(tmp_path / "passages.npy", mmap_mode="r")  # quantised as it is read
    for dtype in ("auto", "float32", packed_type(level) or "auto"):
        for vectors in (passages, mapped, np.asfortranarray(passages)):
            found = Index(vectors, dtype=dtype).search(queries, 15, threads=2)
            assert (found.ids == expected.ids).all()
            assert (found.scores == expected.scores).all()


def test_given_pairs_score_as_in_a_search(level):
    passages, queries = make_vectors("gaussian", 300, 37, 1), make_vectors("gaussian", 11, 37, 2)
    index = Index(passages)
    found = index.search(queries, 6)
    assert (index.score_pairs(queries, found.ids) == found.scores).all()
    assert (index.score_pairs(queries, np.full((11, 2), -1)) == -np.inf).all()
    assert index.score_pairs(queries, np.empty((11, 0))).shape == (11, 0)
