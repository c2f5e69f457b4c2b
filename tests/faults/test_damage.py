"""Files that a disk has cut or changed are made again or refused, never used."""

import subprocess
from pathlib import Path

import polars as pl
import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.io.core import DatasetError
from kedro.pipeline import Node, Pipeline

from gecko_kedro.base.digests import Digests
from gecko_kedro.base.errors import InputError
from gecko_kedro.base.shards import Shard, missing_pieces
from gecko_kedro.datasets import (
    FinishedShardsDataset,
    ShardedParquetDataset,
    TableDataset,
    VectorShardsDataset,
)
from gecko_kedro.hooks.fingerprints import Fingerprints
from gecko_kedro.hooks.ledger import read_ledger
from gecko_kedro.teacher import ResponseStore
from gecko_kedro.training.checkpoints import last_whole_checkpoint, seal_checkpoint
from tests.support.damaging import flip
from tests.support.observing import Observe

pytestmark = pytest.mark.faults
VECTORS = pl.DataFrame(
    {"passage_id": [f"p{n}" for n in range(9)], "vector": [[n / 7, -n / 3] for n in range(9)]},
    schema_overrides={"vector": pl.Array(pl.Float32, 2)},
)


def shards(folder: Path) -> ShardedParquetDataset:
    dataset = ShardedParquetDataset(path=str(folder))
    dataset.expect_fingerprint("f1")
    return dataset


def make_missing(folder: Path) -> frozenset[int]:
    """Save what is not finished, as the nodes do; gives the indices that were made."""
    dataset = shards(folder)
    made = set()
    for piece in missing_pieces(VECTORS, size=4, finished=dataset.finished()):
        dataset.save(Shard(piece.index, piece.total, piece.rows))
        made.add(piece.index)
    return frozenset(made)


def reason(error: pytest.ExceptionInfo[DatasetError]) -> InputError:
    cause = error.value.__cause__
    assert isinstance(cause, InputError)
    return cause


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty"])
def test_a_damaged_shard_is_named_and_made_again_alone(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture, observe: Observe
) -> None:
    assert make_missing(tmp_path) == {0, 1, 2}
    file = tmp_path / "shard-00001-of-00003.parquet"
    whole = file.read_bytes()
    if damage == "flipped":
        flip(file, len(whole) // 2)
    else:
        file.write_bytes(whole[: len(whole) // 2] if damage == "cut" else b"")
    assert make_missing(tmp_path) == {1}
    assert str(file) in caplog.text
    assert file.read_bytes() == whole
    assert shards(tmp_path).load().equals(VECTORS)
    said = caplog.records[-1].getMessage().replace(str(tmp_path), "...")
    observe(
        f"a shard of queries, candidates or judgements, {damage}, at a re-run",
        f"{said}; same bytes as before",
    )


def test_every_flipped_byte_of_a_shard_is_found(tmp_path: Path, observe: Observe) -> None:
    make_missing(tmp_path)
    file = tmp_path / "shard-00000-of-00003.parquet"
    whole = file.read_bytes()
    record = file.with_suffix(".sha256").read_bytes()
    for offset in range(len(whole)):
        flip(file, offset)
        with pytest.raises(DatasetError) as error:
            shards(tmp_path).load()
        assert str(file) in str(reason(error))
        assert not file.exists()
        assert not shards(tmp_path).exists()  # so that --only-missing-outputs makes it again
        file.write_bytes(whole)
        file.with_suffix(".sha256").write_bytes(record)
    assert make_missing(tmp_path) == frozenset()
    observe(f"each of the {len(whole)} bytes of a shard flipped, one at a time", reason(error))


def test_every_flipped_byte_of_a_file_of_vectors_is_found(tmp_path: Path, observe: Observe) -> None:
    def dataset() -> VectorShardsDataset:
        made = VectorShardsDataset(path=str(tmp_path), rows_per_shard=4)
        made.expect_fingerprint("f1")
        return made

    def make() -> list[int]:
        missing = list(missing_pieces(VECTORS, size=4, finished=dataset().finished()))
        for piece in missing:
            dataset().save(Shard(piece.index, piece.total, piece.rows))
        return [piece.index for piece in missing]

    make()
    file = tmp_path / "vectors.float32"
    whole = file.read_bytes()
    for offset in range(len(whole)):
        flip(file, offset)
        if offset % 2:
            with pytest.raises(DatasetError) as error:
                dataset().load()
            assert str(tmp_path) in str(reason(error))
        assert make() == [offset // (4 * 8)]  # the damaged shard alone
        assert file.read_bytes() == whole
    assert dataset().load().matrix.tobytes() == whole
    observe(f"each of the {len(whole)} bytes of a file of vectors flipped, one at a time",
            f"{reason(error)}; a re-run makes that shard again, same bytes as before")  # fmt: skip


def test_a_shard_without_its_checksum_or_with_a_damaged_one_is_made_again(tmp_path: Path) -> None:
    make_missing(tmp_path)
    (tmp_path / "shard-00000-of-00003.sha256").unlink()
    flip(tmp_path / "shard-00002-of-00003.sha256", 5)
    assert make_missing(tmp_path) == {0, 2}
    assert shards(tmp_path).load().equals(VECTORS)


def test_the_checksums_are_those_of_sha256sum(tmp_path: Path) -> None:
    make_missing(tmp_path)
    files = sorted(file.name for file in tmp_path.glob("*.sha256"))
    subprocess.run(["sha256sum", "--check", "--strict", *files], cwd=tmp_path, check=True)


def test_a_damaged_manifest_makes_all_shards_again(tmp_path: Path) -> None:
    make_missing(tmp_path)
    (tmp_path / "_manifest.json").write_bytes(b"\xff{")
    assert make_missing(tmp_path) == {0, 1, 2}


def test_shards_that_one_node_makes_together_are_made_again_together(tmp_path: Path) -> None:
    for table in ("queries", "rejected"):
        make_missing(tmp_path / table)
    flip(tmp_path / "rejected" / "shard-00002-of-00003.parquet", 9)
    finished = FinishedShardsDataset(
        path=str(tmp_path / "queries"), of="queries", beside={"path": str(tmp_path / "rejected")}
    )
    finished.expect_fingerprint("f1")
    assert finished.load() == {0, 1}


def first(source: pl.DataFrame) -> pl.DataFrame:
    return source.head(3)


def test_a_flipped_byte_in_a_table_is_refused_and_an_edit_is_not(
    tmp_path: Path, observe: Observe
) -> None:
    pipeline = Pipeline([Node(first, "source", "short"), Node(lambda short: short, "short", "end")])
    file = tmp_path / "short.parquet"
    tables = {
        name: TableDataset(filepath=str(tmp_path / f"{name}.parquet")) for name in ("short", "end")
    }
    catalog = DataCatalog({"source": MemoryDataset(VECTORS), **tables})
    catalog.save("short", first(VECTORS))

    def fingerprints() -> Fingerprints:  # as each run makes them
        return Fingerprints(pipeline, catalog, Digests(tmp_path / "digests.jsonl"))

    fingerprints().record("short")
    fingerprints().refuse_damaged("short")
    flip(file, file.stat().st_size // 2)
    with pytest.raises(InputError) as refusal:
        fingerprints().refuse_damaged("short")
    assert str(file) in str(refusal.value)
    observe("a flipped byte in a table (candidates, FRet, ...)", refusal.value)
    catalog.save("short", VECTORS.head(2))  # put there by hand
    fingerprints().refuse_damaged("short")


def test_a_flipped_byte_in_a_checkpoint_passes_it_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, observe: Observe
) -> None:
    for step in (4, 8, 12):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(bytes(range(64)) * step)
        seal_checkpoint(folder)
    flip(tmp_path / "checkpoint-12" / "model.safetensors", 77)
    assert last_whole_checkpoint(tmp_path) == tmp_path / "checkpoint-8"
    observe("a flipped byte in a checkpoint", f"{caplog.messages[-1]}; the one before serves")


def test_a_damaged_response_store_never_gives_another_reply(
    tmp_path: Path, observe: Observe
) -> None:
    file = tmp_path / "responses.sqlite"
    replies = {bytes([n]) * 32: [f"how is tea number {n} made?", n, 7] for n in range(120)}
    with ResponseStore(file) as store:
        store.put(replies)
    whole = file.read_bytes()
    refused, damage = None, [("cut", size) for size in (0, 99, 4096, len(whole) // 2)]
    damage += [("flip", offset) for offset in range(0, len(whole), 211)]
    for kind, offset in damage:
        file.write_bytes(whole[:offset] if kind == "cut" else whole)
        if kind == "flip":
            flip(file, offset, mask=0xFF)
        for rest in ("-wal", "-shm"):
            file.with_name(file.name + rest).unlink(missing_ok=True)
        try:
            with ResponseStore(file) as store:
                found = store.get(list(replies))
        except InputError as error:
            refused = error
            continue
        assert all(replies[key] == value for key, value in found.items()), (kind, offset)
    assert str(file) in str(refused)
    observe(f"the response store cut or with a flipped byte, {len(damage)} times",
            f"the right reply, none (it is asked for again), or: {refused}")  # fmt: skip


def test_a_damaged_ledger_costs_only_the_costs(tmp_path: Path) -> None:
    (tmp_path / "run_ledger.json").write_bytes(b'{"nodes": \xff')
    assert read_ledger(tmp_path / "run_ledger.json") == {}
