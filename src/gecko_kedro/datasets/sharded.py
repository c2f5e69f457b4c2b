"""A table in shards: each is whole or absent, and the table exists only with its last one."""

import json
import logging
import re
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

import polars as pl
from kedro.io.core import AbstractDataset
from kedro_datasets._typing import TablePreview

from gecko_kedro.datasets._atomic import atomic_path
from gecko_kedro.datasets.table import TableDataset
from gecko_kedro.errors import InputError
from gecko_kedro.shards import NO_SHARD, Shard

logger = logging.getLogger(__name__)
_NAME = re.compile(r"shard-(\d{5})-of-(\d{5})\.parquet")
_MANIFEST = "_manifest.json"


class ShardedParquetDataset(AbstractDataset[Shard, pl.DataFrame]):
    """Saves ``Shard`` after ``Shard``, loads the whole table in shard order.

    ``exists()`` is true only when all shards are there, so ``--only-missing-outputs`` never goes on
    with half a table. The folder remembers the fingerprint of what made it (parameters, inputs);
    shards of another fingerprint do not count and are removed at the first save.

    A node that makes the shards reads ``FinishedShardsDataset`` on the same folder to learn which
    ones it need not make again.
    """

    def __init__(self, *, path: str, metadata: dict[str, Any] | None = None) -> None:
        self._folder = PurePosixPath(path)
        self.metadata = metadata
        self._fingerprint: str | None = None

    @property
    def path(self) -> Path:
        """The folder of the shards."""
        return Path(self._folder)

    def expect_fingerprint(self, fingerprint: str) -> None:
        """Count only the shards that were made under ``fingerprint``."""
        self._fingerprint = fingerprint

    def finished(self) -> frozenset[int]:
        """Indices of the shards that are there, whole, and made under the expected fingerprint."""
        if not self._is_current():
            return frozenset()
        return frozenset(index for index, _ in self._shards())

    def save(self, data: Shard) -> None:
        if data is NO_SHARD:
            return
        if not self._is_current():
            self._start_afresh()
        name = f"shard-{data.index:05d}-of-{data.total:05d}.parquet"
        with atomic_path(self.path / name) as temporary:
            data.table.write_parquet(temporary, compression="zstd")

    def load(self) -> pl.DataFrame:
        shards = self._shards()
        if not self._exists():
            total = shards[0][1] if shards else "an unknown number of"
            raise InputError(
                str(self.path),
                expected=f"all of {total} shards",
                got=f"{len(shards)} of them",
                fix="Run the pipeline that makes them again: finished shards are kept.",
            )
        tables = [TableDataset(filepath=str(self._file(*shard))).load() for shard in shards]
        return pl.concat(tables, how="vertical")

    def preview(self, nrows: int = 20) -> TablePreview:
        """First rows of the first shard, for Kedro-Viz."""
        shards = self._shards()
        if not shards:
            return TablePreview({"index": [], "columns": [], "data": []})
        return TableDataset(filepath=str(self._file(*shards[0]))).preview(nrows)

    def _file(self, index: int, total: int) -> Path:
        return self.path / f"shard-{index:05d}-of-{total:05d}.parquet"

    def _shards(self) -> list[tuple[int, int]]:
        matches = (_NAME.fullmatch(file.name) for file in self.path.glob("shard-*.parquet"))
        return sorted((int(match[1]), int(match[2])) for match in matches if match)

    def _is_current(self) -> bool:
        manifest = self.path / _MANIFEST
        if not manifest.is_file():
            return False
        made_under = json.loads(manifest.read_text("utf-8")).get("fingerprint")
        return self._fingerprint is None or made_under == self._fingerprint

    def _start_afresh(self) -> None:
        old = [self._file(*shard) for shard in self._shards()]
        if old:
            logger.info("%s: removing %d shards of other parameters", self.path, len(old))
        for file in old:
            file.unlink()
        with atomic_path(self.path / _MANIFEST) as temporary:
            temporary.write_text(json.dumps({"fingerprint": self._fingerprint}), "utf-8")

    def _exists(self) -> bool:
        shards = self._shards()
        return self._is_current() and bool(shards) and len(shards) == shards[0][1]

    def _describe(self) -> dict[str, Any]:
        return {"path": str(self._folder)}


class FinishedShardsDataset(AbstractDataset[NoReturn, frozenset[int]]):
    """Loads the indices of the finished shards of the folder ``path``; read only.

    ``of`` is the catalog name of the ``ShardedParquetDataset`` on the same folder, whose expected
    fingerprint holds here too.
    """

    def __init__(self, *, path: str, of: str, metadata: dict[str, Any] | None = None) -> None:
        self._shards = ShardedParquetDataset(path=path)
        self.of = of
        self.metadata = metadata

    def expect_fingerprint(self, fingerprint: str) -> None:
        """Count only the shards that were made under ``fingerprint``."""
        self._shards.expect_fingerprint(fingerprint)

    def load(self) -> frozenset[int]:
        return self._shards.finished()

    def save(self, data: NoReturn) -> None:
        raise InputError(
            "FinishedShardsDataset",
            expected="to be read only",
            got="no save is possible",
            fix=f"Save the shards to {self.of!r}.",
        )

    def _describe(self) -> dict[str, Any]:
        return {"of": self.of}
