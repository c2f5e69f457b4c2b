"""A table in shards: each is whole or absent, and the table exists only with its last one."""

import hashlib
import io
import json
import logging
import re
from contextlib import suppress
from pathlib import Path

import polars as pl
from kedro_datasets._typing import TablePreview

from gecko_kedro.base.digests import file_sha256
from gecko_kedro.base.errors import InputError
from gecko_kedro.base.files import atomic_path, write_text
from gecko_kedro.base.shards import NO_SHARD, Shard
from gecko_kedro.datasets._base import FolderDataset, Metadata, table_preview

logger = logging.getLogger(__name__)
_NAME = re.compile(r"shard-(\d{5,})-of-(\d{5,})\.parquet")
_MANIFEST = "_manifest.json"


class ShardedParquetDataset(FolderDataset[Shard, pl.DataFrame | pl.LazyFrame]):
    """Saves ``Shard`` after ``Shard``, loads the whole table in shard order.

    With ``scan`` it loads a lazy table over the shards, which are checked but not kept in memory.

    ``exists()`` is true only when all shards are there, so ``--only-missing-outputs`` never goes on
    with half a table. The folder remembers the fingerprint of what made it (parameters, inputs);
    shards of another fingerprint do not count and are removed at the first save.

    Beside each shard lies its SHA-256 in a file that ``sha256sum --check`` reads. A shard that does
    not match it (a cut file, a flipped bit) is removed and never used: ``finished()`` counts it as
    missing, ``load()`` raises InputError, and the next run makes that one shard again.

    A node that makes the shards reads ``FinishedShardsDataset`` on the same folder to learn which
    ones it need not make again.
    """

    def __init__(self, *, path: str, scan: bool = False, metadata: Metadata = None) -> None:
        super().__init__(path=path, metadata=metadata)
        self._scan = scan
        self._fingerprint: str | None = None

    def expect_fingerprint(self, fingerprint: str) -> None:
        """Count only the shards that were made under ``fingerprint``."""
        self._fingerprint = fingerprint

    def finished(self) -> frozenset[int]:
        """Indices of the shards that are there, whole, and made under the expected fingerprint.

        All of them are read once to check them; damaged ones are removed with a warning.
        """
        if not self.is_current():
            return frozenset()
        return frozenset(index for index, total in self.shards() if self._is_whole(index, total))

    def save(self, data: Shard) -> None:
        if data is NO_SHARD:
            return
        if not self.is_current():
            self.start_afresh()
        file = self.file(data.index, data.total)
        with atomic_path(file) as temporary:
            data.table.write_parquet(temporary, compression="zstd")
            # Before the shard takes its name: no moment has a shard that cannot be checked.
            write_text(_checksum_file(file), f"{file_sha256(temporary)}  {file.name}\n")

    def load(self) -> pl.DataFrame | pl.LazyFrame:
        shards = self.shards()
        if not self._exists():
            total = shards[0][1] if shards else "an unknown number of"
            raise InputError(
                str(self.path),
                expected=f"all of {total} shards",
                got=f"{len(shards)} of them",
                fix="Run the pipeline that makes them again: finished shards are kept.",
            )
        if self._scan:
            for shard in shards:
                self._checked_content(*shard)
            return pl.scan_parquet([self.file(*shard) for shard in shards], glob=False)
        contents = (self._checked_content(*shard) for shard in shards)
        return pl.concat([pl.read_parquet(io.BytesIO(content), glob=False) for content in contents])

    def preview(self, nrows: int = 20) -> TablePreview:
        """First rows of the first shard, for Kedro-Viz."""
        shards = self.shards()
        if not shards:
            return table_preview(pl.DataFrame())
        return table_preview(pl.read_parquet(self.file(*shards[0]), n_rows=nrows, glob=False))

    def file(self, index: int, total: int) -> Path:
        """The file of one shard."""
        return self.path / f"shard-{index:05d}-of-{total:05d}.parquet"

    def shards(self) -> list[tuple[int, int]]:
        """(index, total) of each shard that is there, in order."""
        matches = (_NAME.fullmatch(file.name) for file in self.path.glob("shard-*.parquet"))
        return sorted((int(match[1]), int(match[2])) for match in matches if match)

    def _is_whole(self, index: int, total: int) -> bool:
        file = self.file(index, total)
        if file_sha256(file) == _read_checksum(file):
            return True
        logger.warning("Removed %s: it is not what its SHA-256 says; it is made again", file)
        remove_shard(file)
        return False

    def _checked_content(self, index: int, total: int) -> bytes:
        """The very bytes that were checked, to be read as a table."""
        file = self.file(index, total)
        content = file.read_bytes()
        expected, found = _read_checksum(file), hashlib.sha256(content).hexdigest()
        if found != expected:
            with suppress(OSError):
                remove_shard(file)
            raise InputError(
                str(file),
                expected=f"the shard that was written, SHA-256 {expected}",
                got=found,
                fix="It is damaged and was removed: run the same command again; this one shard is "
                "made anew. Look at the disk that it was on.",
            )
        return content

    def is_current(self) -> bool:
        """Whether the folder was made under the expected fingerprint."""
        manifest = self.path / _MANIFEST
        try:
            made_under = json.loads(manifest.read_text("utf-8")).get("fingerprint")
        except FileNotFoundError:
            return False
        except (ValueError, AttributeError):
            logger.warning("%s is damaged: its shards are made again", manifest)
            return False
        return self._fingerprint is None or made_under == self._fingerprint

    def start_afresh(self) -> None:
        """Remove what was made under another fingerprint and note the expected one."""
        old = [self.file(*shard) for shard in self.shards()]
        if old:
            logger.info("%s: removing %d shards of other parameters", self.path, len(old))
        for file in old:
            remove_shard(file)
        write_text(self.path / _MANIFEST, json.dumps({"fingerprint": self._fingerprint}))

    def _exists(self) -> bool:
        shards = self.shards()
        return self.is_current() and bool(shards) and len(shards) == shards[0][1]


def _checksum_file(shard: Path) -> Path:
    return shard.with_suffix(".sha256")


def _read_checksum(shard: Path) -> str | None:
    """The digest that ``shard`` was written with; None where there is no record of it."""
    try:
        return _checksum_file(shard).read_text("utf-8").partition(" ")[0]
    except (OSError, UnicodeDecodeError):
        return None


def remove_shard(shard: Path) -> None:
    """Remove a shard and its checksum, so that it counts as missing."""
    shard.unlink()
    _checksum_file(shard).unlink(missing_ok=True)
