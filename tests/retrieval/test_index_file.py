"""Saving, loading and growing an index: the same results as an index made at once."""

import json
import struct
import zlib
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from gecko_kedro.base.errors import InputError
from gecko_kedro.retrieval import Index
from gecko_kedro.retrieval import index as index_module
from gecko_kedro.retrieval.levels import VARIABLE, has_bytes


def vectors(n, d, seed=0, dtype=np.float32):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(dtype)


def assert_same(left, right):
    np.testing.assert_array_equal(left.ids, right.ids)
    np.testing.assert_array_equal(left.scores.view(np.int32), right.scores.view(np.int32))


def packing(level):
    return "int8" if has_bytes(level) else "auto"


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("n", [0, 1, 11, 12, 13, 500])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_a_loaded_index_finds_the_same(level, tmp_path: Path, n, dtype, mmap):
    index = Index(vectors(n, 19, dtype=dtype), dtype=packing(level))
    queries = vectors(70, 19, seed=1)
    expected = index.search(queries, 7)
    index.save(tmp_path / "index.gecko")
    loaded = Index.load(tmp_path / "index.gecko", mmap=mmap, dtype=packing(level))
    assert_same(loaded.search(queries, 7), expected)
    assert loaded.vectors.dtype == index.vectors.dtype
    assert list(tmp_path.iterdir()) == [tmp_path / "index.gecko"]


def test_packing_block_by_block_makes_the_same_file(level, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(index_module, "ROWS_AT_ONCE", 96)
    rows = vectors(1000, 19)
    np.save(tmp_path / "rows.npy", rows)
    mapped = Index(np.load(tmp_path / "rows.npy", mmap_mode="r"), dtype=packing(level))
    mapped.save(tmp_path / "mapped.gecko")
    memory = Index(rows, dtype=packing(level))
    memory.search(rows[:64], 1)  # packs it
    memory.save(tmp_path / "memory.gecko")
    assert (tmp_path / "mapped.gecko").read_bytes() == (tmp_path / "memory.gecko").read_bytes()


def test_another_level_packs_anew_and_says_so(level, tmp_path: Path, monkeypatch, caplog):
    index = Index(vectors(300, 19), dtype=packing(level))
    queries = vectors(70, 19, seed=1)
    expected = index.search(queries, 7)
    index.save(tmp_path / "index.gecko")
    other = "numpy" if level != "numpy" else "scalar"
    monkeypatch.setenv(VARIABLE, other)
    with caplog.at_level("INFO"):
        loaded = Index.load(tmp_path / "index.gecko")
    assert (f"packed for {level}, not for {other}" in caplog.text) == has_bytes(level)
    assert_same(loaded.search(queries, 7), expected)


@pytest.mark.parametrize("pieces", [[1, 1, 1], [11, 1, 13, 75], [0, 500, 0]])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_an_index_that_grew_is_one_made_at_once(level, pieces, dtype):
    everything = vectors(40 + sum(pieces), 19, dtype=dtype)
    grown = Index(everything[:40].copy(), dtype=packing(level))
    queries = vectors(70, 19, seed=1)
    grown.search(queries, 3)  # packs it
    first = 40
    for count in pieces:
        ids = grown.add(everything[first : first + count])
        assert ids.tolist() == list(range(first, first + count))
        first += count
    whole = Index(everything, dtype=packing(level))
    assert_same(grown.search(queries, 9), whole.search(queries, 9))
    assert len(grown) == first


def test_growing_leaves_the_given_array_and_older_results_alone():
    rows = vectors(10, 4)
    kept = rows.copy()
    index = Index(rows[:5])
    index.add(vectors(3, 4, seed=2))
    index.add(vectors(1, 4, seed=3))
    np.testing.assert_array_equal(rows, kept)


def test_vectors_that_do_not_fit_are_not_added(tmp_path: Path):
    index = Index(vectors(3, 4))
    for wrong in (vectors(2, 5), vectors(2, 4, dtype=np.float16)):
        with pytest.raises(InputError, match="4 columns of float32"):
            index.add(wrong)
    bad = vectors(3, 4)
    bad[2, 1] = np.nan
    with pytest.raises(InputError, match=r"add, vectors, row 2"):
        index.add(bad)
    assert len(index) == 3
    index.save(tmp_path / "index.gecko")
    with pytest.raises(InputError, match="in memory"):
        Index.load(tmp_path / "index.gecko", mmap=True).add(vectors(1, 4))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    Index(vectors(50, 8)).save(tmp_path / "index.gecko")
    return tmp_path / "index.gecko"


def test_another_format_version_is_refused_by_its_number(saved: Path):
    data = bytearray(saved.read_bytes())
    struct.pack_into("<I", data, 8, 2)
    saved.write_bytes(data)
    with pytest.raises(InputError, match="format version 1, got 'version 2'"):
        Index.load(saved)


@pytest.mark.parametrize("mmap", [False, True])
def test_a_file_that_is_no_index_or_was_cut_is_refused(saved: Path, mmap):
    data = saved.read_bytes()
    for wrong in (b"", b"GECKOIDX", b"\x93NUMPY" + data, data[:-1], data[:5000]):
        saved.write_bytes(wrong)
        with pytest.raises(InputError, match="whole index file"):
            Index.load(saved, mmap=mmap)
    with pytest.raises(InputError, match="no such file"):
        Index.load(saved.with_name("other"), mmap=mmap)


def test_every_flipped_bit_of_a_file_is_noticed_or_harmless(saved: Path):
    data = saved.read_bytes()
    expected = Index.load(saved).search(np.eye(8, dtype=np.float32), 3)
    random = np.random.default_rng(0)
    places = [*range(0, 300, 7), *random.integers(4096, len(data), size=40)]
    for place in places:
        wrong = bytearray(data)
        wrong[place] ^= 1 << int(random.integers(8))
        saved.write_bytes(wrong)
        try:
            index = Index.load(saved)
        except InputError:
            continue
        assert_same(index.search(np.eye(8, dtype=np.float32), 3), expected)  # padding
        assert place >= 20


def test_the_header_is_what_the_documentation_says(saved: Path):
    data = saved.read_bytes()
    magic, version, length, checksum = struct.unpack_from("<8sIII", data)
    text = data[20 : 20 + length]
    assert (magic, version, checksum) == (b"GECKOIDX", 1, zlib.crc32(text))
    header = json.loads(text)
    assert (header["n"], header["dimension"], header["vectors"]) == (50, 8, "float32")
    section = header["sections"][0]
    assert section["name"] == "vectors"
    assert section["offset"] % 64 == 0
    stored = np.frombuffer(data, "<f4", 400, section["offset"]).reshape(50, 8)
    np.testing.assert_array_equal(stored, vectors(50, 8))


def test_a_folder_that_is_not_there_is_refused_and_nothing_is_left(tmp_path: Path):
    with pytest.raises(InputError, match="can be written"):
        Index(vectors(3, 4)).save(tmp_path / "missing" / "index.gecko")
    assert not list(tmp_path.iterdir())
