"""Which shards of a table are there already."""

from typing import Any

from gecko_kedro.datasets._read_only import ReadOnlyDataset
from gecko_kedro.datasets.sharded import ShardedParquetDataset
from gecko_kedro.datasets.vector_shards import VectorShardsDataset


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
        metadata: dict[str, Any] | None = None,
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
