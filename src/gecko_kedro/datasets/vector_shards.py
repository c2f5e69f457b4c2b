"""Vectors in a memory-mapped file, written shard by shard, their ids beside them in Parquet."""

import logging
from contextlib import suppress
from typing import Any

import polars as pl
from kedro_datasets._typing import TablePreview

from gecko_kedro.base.errors import InputError
from gecko_kedro.base.shards import NO_SHARD, Shard
from gecko_kedro.datasets._base import FolderDataset, Metadata, ReadOnlyDataset
from gecko_kedro.datasets._vector_file import Shape, VectorFile
from gecko_kedro.datasets.sharded import ShardedParquetDataset, remove_shard
from gecko_kedro.retrieval.settings import VectorType
from gecko_kedro.retrieval.vector_table import VectorTable, narrowed

logger = logging.getLogger(__name__)
_VECTOR = "vector"


class VectorShardsDataset(FolderDataset[Shard, VectorTable]):
    """Saves shards of (id, vector); loads ids and a read-only memory map of all vectors.

    A shard's table has a column of ids and ``vector``, an array of float32, which is rounded to
    ``dtype``. The vectors of all shards lie in one file, each shard at its own place, so that the
    file can be searched as it is; the ids lie in a Parquet file for each shard. Every shard but the
    last has ``rows_per_shard`` rows; they may come in any order.

    Whole or absent, resumable and bound to a fingerprint as a ``ShardedParquetDataset`` is. The
    vectors' SHA-256 is kept for each shard. A shard counts as soon as its ids have taken their
    name, which is after its vectors were flushed to the disk: what a killed run has half written
    is not looked at. A shard whose bytes have changed is removed and made again, alone.
    """

    def __init__(
        self,
        *,
        path: str,
        dtype: VectorType = "float32",
        rows_per_shard: int | None = None,
        metadata: Metadata = None,
    ) -> None:
        super().__init__(path=path, metadata=metadata)
        self._ids = ShardedParquetDataset(path=path)
        self._vectors = VectorFile(self._ids.path)
        self._dtype = dtype
        self._rows_per_shard = rows_per_shard

    def expect_fingerprint(self, fingerprint: str) -> None:
        """Count only the shards that were made under ``fingerprint``."""
        self._ids.expect_fingerprint(fingerprint)

    def finished(self) -> frozenset[int]:
        """Indices of the shards that are there, whole, and made under the expected fingerprint.

        All of them are read once to check them; damaged ones are removed with a warning.
        """
        whole = self._ids.finished()
        parts = {index: total for index, total in self._ids.shards() if index in whole}
        damaged = [shard for shard in parts.items() if not self._vectors.is_whole(_part(*shard))]
        for shard in damaged:
            file = self._ids.file(*shard)
            logger.warning("Removed %s: its vectors are not those that were written", file)
            remove_shard(file)
        return whole - {index for index, _ in damaged}

    def save(self, data: Shard) -> None:
        if data is NO_SHARD:
            return
        start = data.index * self._checked_rows(data)
        vectors = narrowed(data.table[_VECTOR].to_numpy(), self._dtype)
        other = self._vectors.shape() != Shape(self._dtype, vectors.shape[1])
        if not self._ids.is_current() or (other and not self._ids.shards()):
            self._vectors.start_afresh()
            self._ids.start_afresh()
        self._vectors.write(_part(data.index, data.total), start, vectors, self._dtype)
        self._ids.save(Shard(data.index, data.total, data.table.drop(_VECTOR)))

    def load(self) -> VectorTable:
        table = self._ids.load()
        assert isinstance(table, pl.DataFrame)
        for shard in self._ids.shards():
            if not self._vectors.is_whole(_part(*shard)):
                raise self._damaged(*shard)
        ids = table.to_series()
        matrix = self._vectors.load(len(ids))
        if matrix is None:
            raise self._damaged(*self._ids.shards()[-1])
        return VectorTable(ids, *matrix)

    def preview(self, nrows: int = 20) -> TablePreview:
        """The first ids, for Kedro-Viz."""
        return self._ids.preview(nrows)

    def _checked_rows(self, shard: Shard) -> int:
        """How many rows lie before those of shard 1."""
        rows, last = self._rows_per_shard, shard.index == shard.total - 1
        height = shard.table.height
        if shard.total == 1:
            return height
        if rows is None or (height != rows and not (last and 0 < height < rows)):
            raise InputError(
                f"{self.path}, shard {shard.index} of {shard.total}",
                expected=f"{rows} rows, and no more in the last shard (rows_per_shard)",
                got=height,
                fix="Set rows_per_shard of the catalog entry to the size that the node cuts.",
            )
        return rows

    def _damaged(self, index: int, total: int) -> InputError:
        file = self._ids.file(index, total)
        with suppress(OSError):
            remove_shard(file)
        return InputError(
            f"{self.path}, vectors of shard {index} of {total}",
            expected="the bytes that were written, by their SHA-256",
            got="others, or fewer",
            fix="The shard is damaged and was removed: run the same command again; this one shard "
            "is made anew. Look at the disk that it was on.",
        )

    def _exists(self) -> bool:
        return self._ids.exists() and self._vectors.shape() is not None


def _part(index: int, total: int) -> str:
    return f"shard-{index:05d}-of-{total:05d}"


class FinishedShardsDataset(ReadOnlyDataset[frozenset[int]]):
    """Loads the indices of the finished shards of the folder ``path``.

    ``of`` is the catalog name of the dataset of shards on the same folder, whose expected
    fingerprint holds here too. ``beside`` is the ``{path: ...}`` of another table that the same
    node makes: an index counts only where both have their shard. With ``vectors`` the folder is
    that of a ``VectorShardsDataset``.
    """

    def __init__(
        self,
        *,
        path: str,
        of: str,
        beside: dict[str, str] | None = None,
        vectors: bool = False,
        metadata: Metadata = None,
    ) -> None:
        folders = [path] if beside is None else [path, beside["path"]]
        shards = VectorShardsDataset if vectors else ShardedParquetDataset
        self._tables = [shards(path=folder) for folder in folders]
        self.of = of
        self.metadata = metadata

    def expect_fingerprint(self, fingerprint: str) -> None:
        """Count only the shards that were made under ``fingerprint``."""
        for table in self._tables:
            table.expect_fingerprint(fingerprint)

    def load(self) -> frozenset[int]:
        return frozenset.intersection(*(table.finished() for table in self._tables))

    def _describe(self) -> dict[str, Any]:
        return {"of": self.of}
