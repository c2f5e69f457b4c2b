"""Where an exact search runs: on a GPU that has the memory, else on the CPU, with the same bits."""

import logging

import numpy as np
import pytest
import torch

from gecko_kedro.base.errors import InputError
from gecko_kedro.engine import LocalEngine
from gecko_kedro.retrieval import Index, SlicedIndex, exact, open_exact, torch_index
from gecko_kedro.retrieval.torch_index import TorchIndex
from gecko_kedro.retrieval.vector_table import narrowed
from tests.support.random_vectors import make_vectors

PASSAGES, QUERIES = make_vectors("gaussian", 300, 24, 1), make_vectors("gaussian", 9, 24, 2)


class OnCpu(TorchIndex):
    """What would be on the GPU is kept by torch in the machine's memory."""

    def __init__(self, vectors, *, device, stored_as):
        assert device == "cuda"
        super().__init__(vectors, device="cpu", stored_as=stored_as)


@pytest.fixture
def gpu(monkeypatch):
    """A GPU that has the number of free bytes that the test gives it."""

    def with_free(n_bytes: int) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (n_bytes, 80 << 30))
        monkeypatch.setattr(torch_index, "TorchIndex", OnCpu)

    return with_free


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def assert_same(found, expected):
    np.testing.assert_array_equal(found.ids, expected.ids)
    np.testing.assert_array_equal(found.scores.view(np.int32), expected.scores.view(np.int32))


def test_without_a_gpu_auto_takes_the_cpu_and_says_so(no_gpu, caplog):
    with caplog.at_level(logging.INFO):
        assert isinstance(open_exact(PASSAGES), Index)
    assert caplog.messages == ["the CPU searches 300 vectors: no CUDA GPU was found"]


def test_vectors_that_fit_go_to_the_gpu(gpu, caplog):
    gpu(2 << 30)
    with caplog.at_level(logging.INFO):
        index = open_exact(PASSAGES)
    assert isinstance(index, TorchIndex)
    assert caplog.messages == ["a GPU searches 300 vectors"]
    assert_same(index.search(QUERIES, 7), Index(PASSAGES).search(QUERIES, 7))


def test_vectors_that_do_not_fit_stay_on_the_cpu(gpu, caplog):
    gpu(1 << 30)
    with caplog.at_level(logging.INFO):
        assert isinstance(open_exact(PASSAGES), Index)
    assert caplog.messages == [
        "the CPU searches 300 vectors: 1.1 GB are needed and 1.1 GB are free on the GPU"
    ]
    with pytest.raises(InputError, match="has the memory for the vectors"):
        open_exact(PASSAGES, device="cuda")


def test_a_gpu_that_is_asked_for_and_not_there_is_an_error(no_gpu):
    with pytest.raises(InputError, match="no CUDA GPU was found"):
        open_exact(PASSAGES, device="cuda")


def test_the_cpu_is_taken_where_it_is_asked_for(gpu):
    gpu(2 << 30)
    assert isinstance(open_exact(PASSAGES, device="cpu"), Index)


@pytest.mark.parametrize("kind", ["float32", "float16", "bfloat16"])
def test_the_search_of_mine_is_the_same_on_a_gpu_for_every_number_type(gpu, tmp_path, caplog, kind):
    caplog.set_level(logging.INFO)
    gpu(2 << 30)
    stored = narrowed(PASSAGES, kind)
    (tmp_path / "vectors").write_bytes(b"header" + stored.tobytes())
    mapped = np.memmap(tmp_path / "vectors", stored.dtype, "r", offset=6, shape=stored.shape)
    stored_as = "bfloat16" if kind == "bfloat16" else None
    index = SlicedIndex(mapped, engine=LocalEngine(), threads=1, device="auto", stored_as=stored_as)
    whole = Index(stored, stored_as=stored_as)
    assert_same(index.search(QUERIES, 7), whole.search(QUERIES, 7))
    assert caplog.messages == ["a GPU searches 300 vectors"]
    ids = np.arange(18).reshape(9, 2)
    assert (index.score_pairs(QUERIES, ids) == whole.score_pairs(QUERIES, ids)).all()


def test_a_map_is_moved_block_by_block(monkeypatch):
    monkeypatch.setattr(torch_index, "rows_in_block", lambda _: 7)
    index = TorchIndex(np.asfortranarray(PASSAGES)[::-1], device="cpu")
    assert (index.vectors.numpy() == PASSAGES[::-1]).all()


def test_one_query_widens_no_more_passages_than_many(monkeypatch):
    monkeypatch.setattr(torch_index, "_NUMBERS_AT_ONCE", 24 * 50)
    widths: list[int] = []
    threshold = torch_index._threshold
    monkeypatch.setattr(
        torch_index, "_threshold",
        lambda scores, *rest: widths.append(scores.shape[1]) or threshold(scores, *rest),
    )  # fmt: skip
    TorchIndex(PASSAGES, device="cpu").search(QUERIES[:1], 3)
    assert max(widths) == 100


def test_what_is_no_matrix_is_refused_before_a_gpu_is_looked_for(monkeypatch):
    monkeypatch.setattr(exact, "_obstacle", None)
    with pytest.raises(InputError, match="a matrix"):
        open_exact(np.zeros(3))
