"""Which level serves."""

import logging

import numpy as np
import pytest

from gecko_kedro.retrieval import Index, levels
from gecko_kedro.retrieval.levels import (
    NUMPY,
    VARIABLE,
    available_levels,
    extension,
    packing_pays,
)


def test_a_refused_amx_is_told_once(monkeypatch, caplog):
    core = extension(levels.available_levels()[0])
    if core is None:
        pytest.skip("the extension is not built")
    monkeypatch.setattr(core, "amx_refusal", lambda: "the kernel refused: no space")
    levels._load.cache_clear()
    try:
        with caplog.at_level(logging.WARNING):
            levels.available_levels()
            levels.simd_level()
    finally:
        levels._load.cache_clear()
    assert [record.message for record in caplog.records] == [
        "This processor has AMX, but the kernel refused: no space: another level serves, slower"
    ]


def test_nothing_is_told_of_an_amx_that_may_be_used_or_is_not_there(caplog):
    levels._load.cache_clear()
    with caplog.at_level(logging.WARNING):
        levels.available_levels()
    core = extension(levels.available_levels()[0])
    assert bool(caplog.records) == (core is None or core.amx_refusal() != "")


def test_an_index_of_another_number_type_takes_the_level_that_has_it(monkeypatch):
    types = {"amx-int8": "int8", "amx-bf16": "bfloat16", "avx512": None, NUMPY: None}
    monkeypatch.setattr(levels, "available_levels", lambda: tuple(types))
    monkeypatch.setattr(levels, "packed_type", types.__getitem__)
    monkeypatch.delenv(VARIABLE, raising=False)
    served = {dtype: levels.level_for(dtype) for dtype in ("auto", "float32", "int8", "bfloat16")}
    assert served == {
        "auto": "amx-int8", "float32": "amx-int8", "int8": "amx-int8", "bfloat16": "amx-bf16",
    }  # fmt: skip
    monkeypatch.setenv(VARIABLE, "avx512")
    assert levels.level_for("bfloat16") == "avx512"  # forced: the index will refuse its dtype


def test_at_avx2_only_searches_with_few_queries_read_bytes(monkeypatch):
    if "avx2" not in available_levels():
        pytest.skip("no AVX2")
    monkeypatch.setenv(VARIABLE, "avx2")
    assert [packing_pays("avx2", n) for n in (1, 16, 17, 10_000)] == [True, True, False, False]
    random = np.random.default_rng(1)
    passages, queries = random.normal(size=(900, 96)), random.normal(size=(70, 96))
    index = Index(passages)
    for _ in range(4):
        index.search(queries, 5)
    assert not index._packed
    few = index.search(queries[:3], 5)
    assert set(index._packed) == {"avx2"}
    np.testing.assert_array_equal(few.ids, index.search(queries, 5).ids[:3])
