"""VectorShardsDataset: one file of vectors, written in any order, searched without a copy."""

import hashlib
import json
import mmap
from pathlib import Path

import ml_dtypes
import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kedro.io.core import DatasetError
from numpy.typing import NDArray

from gecko_kedro.base.shards import NO_SHARD, Shard, missing_pieces
from gecko_kedro.datasets import FinishedShardsDataset, VectorShardsDataset
from gecko_kedro.retrieval.vector_table import VectorType
from tests.support.damaging import flip

ROWS, WIDTH, SIZE = 10, 3, 4
NUMBERS: NDArray[np.float32] = (
    np.random.default_rng(3).normal(size=(ROWS, WIDTH)).astype(np.float32)
)
TABLE = pl.DataFrame({"passage_id": [f"p{n}" for n in range(ROWS)], "vector": NUMBERS})


def vectors_in(
    folder: Path, *, dtype: VectorType = "float32", fingerprint: str = "f1", size: int = SIZE
) -> VectorShardsDataset:
    dataset = VectorShardsDataset(path=str(folder), dtype=dtype, rows_per_shard=size)
    dataset.expect_fingerprint(fingerprint)
    return dataset


def save(dataset: VectorShardsDataset, *, table: pl.DataFrame = TABLE, but: frozenset[int]) -> None:
    for piece in missing_pieces(table, size=SIZE, finished=but):
        dataset.save(Shard(piece.index, piece.total, piece.rows))


def expected(dtype: VectorType) -> NDArray[np.float32]:
    kind = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}[dtype]
    return NUMBERS.astype(kind).astype(np.float32)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_what_is_loaded_is_a_read_only_map_of_the_vectors_in_their_order(
    tmp_path: Path, dtype: VectorType
) -> None:
    dataset = vectors_in(tmp_path, dtype=dtype)
    save(dataset, but=frozenset())
    loaded = dataset.load()
    assert loaded.ids.to_list() == TABLE["passage_id"].to_list()
    assert loaded.ids.name == "passage_id"
    assert np.array_equal(loaded.rows(0, ROWS), expected(dtype))
    assert isinstance(loaded.matrix, np.memmap)
    assert isinstance(loaded.matrix.base, mmap.mmap)
    assert not loaded.matrix.flags.writeable
    assert loaded.index().vectors.base is not None
    assert np.shares_memory(loaded.index().vectors, loaded.matrix)
    shape = json.loads((tmp_path / "vectors.json").read_text("utf-8"))
    plain = np.fromfile(tmp_path / f"vectors.{dtype}", dtype=loaded.matrix.dtype)
    assert shape == {"dtype": dtype, "dimension": WIDTH}
    assert np.array_equal(plain.reshape(-1, WIDTH), loaded.matrix)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_a_search_in_the_file_is_that_in_memory_to_the_bit(
    tmp_path: Path, dtype: VectorType
) -> None:
    from gecko_kedro.retrieval import Index

    dataset = vectors_in(tmp_path, dtype=dtype)
    save(dataset, but=frozenset())
    queries = np.random.default_rng(4).normal(size=(70, WIDTH)).astype(np.float32)
    mapped = dataset.load().index().search(queries, 5)
    in_memory = Index(expected(dtype)).search(queries, 5)
    assert np.array_equal(mapped.ids, in_memory.ids)
    assert np.array_equal(mapped.scores, in_memory.scores)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None
)
@given(order=st.permutations(range(3)))
def test_shards_may_come_in_any_order(tmp_path: Path, order: list[int]) -> None:
    name = hashlib.sha256(str(order).encode()).hexdigest()[:12]
    dataset = vectors_in(tmp_path / name)
    pieces = list(missing_pieces(TABLE, size=SIZE, finished=frozenset()))
    for index in order:
        assert not dataset.exists()
        dataset.save(Shard(index, len(pieces), pieces[index].rows))
    assert dataset.exists()
    assert np.array_equal(dataset.load().matrix, NUMBERS)


def test_it_goes_on_with_the_missing_shards_only(tmp_path: Path) -> None:
    save(vectors_in(tmp_path), but=frozenset({1}))
    finished = FinishedShardsDataset(path=str(tmp_path), of="vectors", vectors=True)
    finished.expect_fingerprint("f1")
    assert finished.load() == {0, 2}
    with pytest.raises(DatasetError, match="2 of them"):
        vectors_in(tmp_path).load()
    save(vectors_in(tmp_path), but=finished.load())
    assert finished.load() == {0, 1, 2}
    assert np.array_equal(vectors_in(tmp_path).load().matrix, NUMBERS)


def test_a_flipped_byte_is_found_and_only_its_shard_made_anew(tmp_path: Path) -> None:
    save(vectors_in(tmp_path), but=frozenset())
    flip(tmp_path / "vectors.float32", offset=5 * WIDTH * 4 + 2)  # row 5, so shard 1
    with pytest.raises(DatasetError, match="shard 1 of 3"):
        vectors_in(tmp_path).load()
    assert not vectors_in(tmp_path).exists()
    assert vectors_in(tmp_path).finished() == {0, 2}
    save(vectors_in(tmp_path), but=frozenset({0, 2}))
    assert np.array_equal(vectors_in(tmp_path).load().matrix, NUMBERS)


@pytest.mark.parametrize("damage", ["cut", "absent", "no record", "no shape"])
def test_what_is_cut_or_gone_is_made_anew(tmp_path: Path, damage: str) -> None:
    save(vectors_in(tmp_path), but=frozenset())
    file = tmp_path / "vectors.float32"
    if damage == "cut":
        file.write_bytes(file.read_bytes()[: 9 * WIDTH * 4 + 1])
    else:
        names = {"absent": file.name, "no shape": "vectors.json",
                 "no record": "shard-00002-of-00003.vectors.json"}  # fmt: skip
        (tmp_path / names[damage]).unlink()
    finished = vectors_in(tmp_path).finished()
    assert finished == ({0, 1} if damage in ("cut", "no record") else frozenset())
    save(vectors_in(tmp_path), but=finished)
    assert np.array_equal(vectors_in(tmp_path).load().matrix, NUMBERS)


def test_a_damaged_shape_makes_all_shards_anew(tmp_path: Path) -> None:
    save(vectors_in(tmp_path), but=frozenset())
    (tmp_path / "vectors.json").write_text('{"dtype": "float32", "dimension": 2}', "utf-8")
    assert vectors_in(tmp_path).finished() == frozenset()
    save(vectors_in(tmp_path), but=frozenset())
    assert np.array_equal(vectors_in(tmp_path).load().matrix, NUMBERS)


def test_vectors_of_another_fingerprint_go_at_the_first_save(tmp_path: Path) -> None:
    save(vectors_in(tmp_path), but=frozenset())
    dataset = vectors_in(tmp_path, dtype="float16", fingerprint="f2")
    assert dataset.finished() == frozenset()
    save(dataset, but=frozenset({2}))
    assert sorted(file.name for file in tmp_path.glob("vectors.*")) == [
        "vectors.float16", "vectors.json"
    ]  # fmt: skip
    assert dataset.finished() == {0, 1}


def test_vectors_of_another_width_are_refused(tmp_path: Path) -> None:
    save(vectors_in(tmp_path), but=frozenset({2}))
    wider = TABLE.with_columns(pl.Series("vector", np.zeros((ROWS, WIDTH + 1), np.float32)))
    with pytest.raises(DatasetError, match="vectors of 3 dimensions"):
        save(vectors_in(tmp_path), table=wider, but=frozenset({0, 1}))


@pytest.mark.parametrize("size", [3, None])
def test_a_shard_of_another_size_than_the_catalogs_is_refused(
    tmp_path: Path, size: int | None
) -> None:
    dataset = VectorShardsDataset(path=str(tmp_path), rows_per_shard=size)
    with pytest.raises(DatasetError, match="rows_per_shard"):
        dataset.save(Shard(0, 2, TABLE.head(SIZE)))


def test_no_rows_are_one_empty_shard(tmp_path: Path) -> None:
    dataset = vectors_in(tmp_path)
    dataset.save(Shard(0, 1, TABLE.clear()))
    dataset.save(NO_SHARD)
    loaded = dataset.load()
    assert loaded.matrix.shape == (0, WIDTH)
    assert len(loaded) == 0
    assert dataset.finished() == {0}
