"""Stored vectors: rounded as the standard says, and given back in memory."""

import ml_dtypes
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gecko_kedro.retrieval.vector_table import VectorTable, VectorType, narrowed

KINDS = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
NUMBERS = st.floats(-1.0, 1.0, width=32)


@pytest.mark.parametrize("dtype", KINDS)
@settings(deadline=None)  # the first call imports torch
@given(numbers=arrays.arrays(np.float32, (3, 4), elements=NUMBERS))
def test_numbers_are_rounded_to_the_nearest_and_read_back(
    dtype: VectorType, numbers: np.ndarray
) -> None:
    stored = narrowed(numbers, dtype)
    expected = numbers.astype(KINDS[dtype]).astype(np.float32)
    table = VectorTable(pl.Series("id", ["a", "b", "c"]), stored, dtype)
    assert stored.dtype.itemsize == np.dtype(KINDS[dtype]).itemsize
    assert np.array_equal(table.rows(0, 3), expected)
    assert np.array_equal(table.rows(1, 2), expected[1:2])


def test_rows_are_a_copy_that_may_be_changed() -> None:
    numbers = np.eye(2, dtype=np.float32)
    numbers.flags.writeable = False
    table = VectorTable(pl.Series("id", ["a", "b"]), numbers, "float32")
    table.rows(0, 2)[:] = 7
    assert np.array_equal(numbers, np.eye(2))
    assert np.shares_memory(table.index().vectors, numbers)
