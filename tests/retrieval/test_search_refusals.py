"""What a search refuses, and how it ends early."""

import logging
import signal
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest

from gecko_kedro.base.errors import InputError
from gecko_kedro.retrieval import Index, SearchCancelled, levels, simd_level


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
def test_a_number_that_cannot_be_scored_is_refused_with_its_row(bad):
    vectors = np.zeros((60000, 64), dtype=np.float32)  # several blocks of rows
    vectors[41234, 5] = bad
    with pytest.raises(InputError, match="vectors, row 41234"):
        Index(vectors)
    with pytest.raises(InputError, match="queries, row 41234"):
        Index(np.zeros((3, 64), dtype=np.float32)).search(vectors, 1)


@pytest.mark.parametrize("element", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_number_that_cannot_be_scored_is_refused_in_any_type(level, element, bad):
    vectors = np.zeros((50, 33), dtype=element)
    vectors[49, 32] = bad
    with pytest.raises(InputError, match="vectors, row 49"):
        Index(vectors)
    with pytest.raises(InputError, match="queries, row 49"):
        Index(np.zeros((3, 33), dtype=np.float32)).search(vectors, 1)


@pytest.mark.parametrize("stored_as", ["float16", "bfloat16"])
def test_stored_as_is_for_bits_of_bfloat16_alone(stored_as):
    with pytest.raises(InputError, match="stored_as"):
        Index(np.zeros((2, 2), dtype=np.float32), stored_as=stored_as)
    with pytest.raises(InputError, match="uint16"):
        Index(np.zeros((2, 2), dtype=np.uint16))


@pytest.mark.parametrize(
    "vectors", [np.zeros(3), np.zeros((2, 2), dtype=np.int64), [["a"]], np.zeros((1, 2, 3))]
)
def test_what_is_no_matrix_of_floats_is_refused(vectors):
    with pytest.raises(InputError, match="matrix"):
        Index(vectors)


def test_arguments_that_do_not_fit_are_refused():
    index = Index(np.ones((3, 4), dtype=np.float32))
    queries = np.ones((2, 4), dtype=np.float32)
    with pytest.raises(InputError, match="4 columns"):
        index.search(np.ones((2, 5), dtype=np.float32), 1)
    with pytest.raises(InputError, match="k of at least 0"):
        index.search(queries, -1)
    with pytest.raises(InputError, match="threads of at least 1"):
        index.search(queries, 1, threads=0)
    with pytest.raises(InputError, match="2 id lists"):
        index.search(queries, 1, exclude=[[0]])
    with pytest.raises(InputError, match="dtype"):
        Index(queries, dtype="int4")
    for ids in ([[0]], [[0], [3]], [0, 1]):
        with pytest.raises(InputError, match="2 rows of ids below 3"):
            index.score_pairs(queries, ids)


@pytest.mark.parametrize("row", [np.nan, 0.5, True, "0", None])
def test_a_row_number_that_is_no_integer_is_refused(level, row):
    index = Index(np.ones((3, 4), dtype=np.float32))
    query = np.ones((1, 4), dtype=np.float32)
    with pytest.raises(InputError, match="integers"):
        index.score_pairs(query, [[row]])
    with pytest.raises(InputError, match="integers"):
        index.search(query, 1, exclude=[[row]])


@pytest.mark.parametrize("dtype", ["int8", "bfloat16"])
def test_a_first_pass_that_the_level_lacks_is_refused(level, dtype):
    index = Index(np.ones((3, 4), dtype=np.float32), dtype=dtype)
    if levels.packed_type(level) == dtype:
        assert index.search(np.ones((1, 4), dtype=np.float32), 1).ids.tolist() == [[0]]
        return
    with pytest.raises(InputError, match=f"at level {level}"):
        index.search(np.ones((1, 4), dtype=np.float32), 1)


def test_progress_is_told_the_finished_share(level):
    shares: list[float] = []
    vectors = np.ones((300, 8), dtype=np.float32)
    Index(vectors).search(vectors, 3, progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)


def test_progress_that_returns_false_cancels(level):
    vectors = np.ones((300, 8), dtype=np.float32)
    with pytest.raises(SearchCancelled):
        Index(vectors).search(vectors, 3, progress=lambda _: False)


def test_what_progress_raises_comes_through(level):
    def fail(_: float) -> None:
        raise ZeroDivisionError("mine")

    vectors = np.ones((300, 8), dtype=np.float32)
    with pytest.raises(ZeroDivisionError, match="mine"):
        Index(vectors).search(vectors, 3, progress=fail)


def test_a_level_that_is_not_available_is_refused_by_name(monkeypatch):
    monkeypatch.setenv(levels.VARIABLE, "amx-fp64")
    with pytest.raises(InputError, match="amx-fp64"):
        simd_level()


def test_a_forced_level_serves(level):
    assert simd_level() == level


def test_without_the_extension_numpy_serves_and_says_so_once(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "gecko_kedro._core", None)  # import of it fails
    monkeypatch.delenv(levels.VARIABLE, raising=False)
    levels._load.cache_clear()
    try:
        with caplog.at_level(logging.WARNING):
            vectors = np.eye(3, dtype=np.float32)
            assert Index(vectors).search(vectors, 1).ids.ravel().tolist() == [0, 1, 2]
            assert Index(vectors).search(vectors, 1).ids.ravel().tolist() == [0, 1, 2]
        assert [record.message for record in caplog.records if "NumPy" in record.message] == [
            "gecko_kedro._core is not built: NumPy serves, slower and with the same results"
        ]
    finally:
        levels._load.cache_clear()


_ENDLESS = """
import numpy as np
from gecko_kedro.retrieval import Index, mine_negatives
vectors = np.ones((200_000, 256), dtype=np.float32)  # all equal: every pair must be rescored
report = lambda share: print("searching", flush=True)
"""
_SEARCHING = "Index(vectors).search(vectors, 5, progress=report)"
_MINING = """mine_negatives(
    Index(vectors), vectors, [[0]] * len(vectors),
    k=5, n_negatives=1, strategy="top", seed=0, progress=report,
)"""


@pytest.mark.parametrize("call", [_SEARCHING, _MINING], ids=["search", "mine"])
def test_ctrl_c_ends_a_call(level, call):
    """The first report says that threads are at work; then the signal comes."""
    with subprocess.Popen(
        [sys.executable, "-c", _ENDLESS + call],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "searching\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "KeyboardInterrupt" in errors
