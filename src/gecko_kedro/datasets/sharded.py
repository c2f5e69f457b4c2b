"""A table in shards: each is whole or absent, and the table exists only with its last one."""

import hashlib
import io
import json
import logging
import re
from contextlib import suppress
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

    Beside each shard lies its SHA-256 in a file that ``sha256sum --check`` reads. A shard that does
    not match it (a cut file, a flipped bit) is removed and never used: ``finished()`` counts it as
    missing, ``load()`` raises InputError, and the next run makes that one shard again.

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
        """Indices of the shards that are there, whole, and made under the expected fingerprint.

        All of them are read once to check them; damaged ones are removed with a warning.
        """
        if not self._is_current():
            return frozenset()
        return frozenset(index for index, total in self._shards() if self._is_whole(index, total))

    def save(self, data: Shard) -> None:
        if data is NO_SHARD:
            return
        if not self._is_current():
            self._start_afresh()
        file = self._file(data.index, data.total)
        with atomic_path(file) as temporary:
            data.table.write_parquet(temporary, compression="zstd")
            # Before the shard takes its name: no moment has a shard that cannot be checked.
            with temporary.open("rb") as content:
                _write_checksum(file, hashlib.file_digest(content, "sha256").hexdigest())

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
        return pl.concat([self._checked_table(*shard) for shard in shards], how="vertical")

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

    def _is_whole(self, index: int, total: int) -> bool:
        file = self._file(index, total)
        with file.open("rb") as content:
            found = hashlib.file_digest(content, "sha256").hexdigest()
        if found == _read_checksum(file):
            return True
        logger.warning("Removed %s: it is not what its SHA-256 says; it is made again", file)
        _remove(file)
        return False

    def _checked_table(self, index: int, total: int) -> pl.DataFrame:
        file = self._file(index, total)
        content = file.read_bytes()  # the very bytes that are checked are read as a table
        expected, found = _read_checksum(file), hashlib.sha256(content).hexdigest()
        if found != expected:
            with suppress(OSError):
                _remove(file)
            raise InputError(
                str(file),
                expected=f"the shard that was written, SHA-256 {expected}",
                got=found,
                fix="It is damaged and was removed: run the same command again; this one shard is "
                "made anew. Look at the disk that it was on.",
            )
        return pl.read_parquet(io.BytesIO(content))

    def _is_current(self) -> bool:
        manifest = self.path / _MANIFEST
        try:
            made_under = json.loads(manifest.read_text("utf-8")).get("fingerprint")
        except FileNotFoundError:
            return False
        except (ValueError, AttributeError):
            logger.warning("%s is damaged: its shards are made again", manifest)
            return False
        return self._fingerprint is None or made_under == self._fingerprint

    def _start_afresh(self) -> None:
        old = [self._file(*shard) for shard in self._shards()]
        if old:
            logger.info("%s: removing %d shards of other parameters", self.path, len(old))
        for file in old:
            _remove(file)
        with atomic_path(self.path / _MANIFEST) as temporary:
            temporary.write_text(json.dumps({"fingerprint": self._fingerprint}), "utf-8")

    def _exists(self) -> bool:
        shards = self._shards()
        return self._is_current() and bool(shards) and len(shards) == shards[0][1]

    def _describe(self) -> dict[str, Any]:
        return {"path": str(self._folder)}


def _checksum_file(shard: Path) -> Path:
    return shard.with_suffix(".sha256")


def _write_checksum(shard: Path, digest: str) -> None:
    with atomic_path(_checksum_file(shard)) as temporary:
        temporary.write_text(f"{digest}  {shard.name}\n", "utf-8")


def _read_checksum(shard: Path) -> str | None:
    """The digest that ``shard`` was written with; None where there is no record of it."""
    try:
        return _checksum_file(shard).read_text("utf-8").partition(" ")[0]
    except (OSError, UnicodeDecodeError):
        return None


def _remove(shard: Path) -> None:
    shard.unlink()
    _checksum_file(shard).unlink(missing_ok=True)


class FinishedShardsDataset(AbstractDataset[NoReturn, frozenset[int]]):
    """Loads the indices of the finished shards of the folder ``path``; read only.

    ``of`` is the catalog name of the ``ShardedParquetDataset`` on the same folder, whose expected
    fingerprint holds here too. ``beside`` is the ``{path: ...}`` of another table that the same
    node makes: an index counts only where both have their shard.
    """

    def __init__(
        self,
        *,
        path: str,
        of: str,
        beside: dict[str, str] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        folders = [path] if beside is None else [path, beside["path"]]
        self._tables = [ShardedParquetDataset(path=folder) for folder in folders]
        self.of = of
        self.metadata = metadata

    def expect_fingerprint(self, fingerprint: str) -> None:
        """Count only the shards that were made under ``fingerprint``."""
        for table in self._tables:
            table.expect_fingerprint(fingerprint)

    def load(self) -> frozenset[int]:
        return frozenset.intersection(*(table.finished() for table in self._tables))

    def save(self, data: NoReturn) -> None:
        raise InputError(
            "FinishedShardsDataset",
            expected="to be read only",
            got="no save is possible",
            fix=f"Save the shards to {self.of!r}.",
        )

    def _describe(self) -> dict[str, Any]:
        return {"of": self.of}
