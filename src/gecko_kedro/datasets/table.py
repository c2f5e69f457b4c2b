"""Polars tables in Parquet files, written atomically and checked when they come from outside."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import TypeVar

import polars as pl
from kedro_datasets._typing import TablePreview

from gecko_kedro.base.errors import InputError
from gecko_kedro.base.files import atomic_path
from gecko_kedro.base.shards import ROWS_AT_ONCE
from gecko_kedro.datasets._base import FileDataset, FolderDataset, Metadata, table_preview

_Table = TypeVar("_Table", pl.DataFrame, pl.LazyFrame)


class TableDataset(FileDataset[pl.DataFrame | pl.LazyFrame, pl.DataFrame | pl.LazyFrame]):
    """Loads and saves a ``polars.DataFrame``; a ``LazyFrame`` is written as it is computed.

    ``schema`` names a mapping from column to polars type (``"gecko_kedro.fret.schemas.QUERY"``).
    A table on the disk must have these columns with these types, whoever wrote it, so each pipeline
    can be entered with a file made elsewhere; further columns are kept. With ``optional`` an absent
    file loads as a table without rows. With ``scan`` it loads a ``LazyFrame``, so that the table
    stays on the disk: for a second catalog entry of a table (Kedro's transcoding).
    """

    def __init__(
        self,
        *,
        filepath: str,
        schema: str | None = None,
        optional: bool = False,
        scan: bool = False,
        metadata: Metadata = None,
    ) -> None:
        super().__init__(filepath=filepath, optional=optional, metadata=metadata)
        self._schema, self._scan = schema, scan

    def load(self) -> pl.DataFrame | pl.LazyFrame:
        return self.scan() if self._scan else self.read()

    def read(self) -> pl.DataFrame:
        """The whole table, in memory."""
        if self._is_left_out():
            return pl.DataFrame(schema=self._expected_columns())
        with self._reading():
            table = pl.read_parquet(self.path, memory_map=False, glob=False)
        return self._checked(table)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (pl.exceptions.ComputeError, OSError) as error:
            raise InputError(
                str(self.path),
                expected="a whole Parquet file",
                got=str(error),
                fix="Delete the file and run again to make it anew, or put a whole file there.",
            ) from error

    def scan(self) -> pl.LazyFrame:
        """The table as it is read from the disk; in memory only where types must be converted."""
        table = pl.scan_parquet(self.path, glob=False)
        with self._reading():
            found = table.collect_schema()
        expected = self._expected_columns()
        if all(found.get(column) == dtype for column, dtype in expected.items()):
            return table
        return self.read().lazy()

    def save(self, data: pl.DataFrame | pl.LazyFrame) -> None:
        with atomic_path(self.path) as temporary:
            if isinstance(data, pl.LazyFrame):
                lazy = self._checked(data)
                lazy.sink_parquet(temporary, compression="zstd", row_group_size=ROWS_AT_ONCE)
            else:
                table = self._checked(data)
                table.write_parquet(temporary, compression="zstd", row_group_size=ROWS_AT_ONCE)

    def _checked(self, table: _Table) -> _Table:
        found = table.collect_schema()
        for column, dtype in self._expected_columns().items():
            if column not in found:
                raise InputError(
                    str(self.path),
                    expected=f"a column {column!r} ({dtype})",
                    got=found.names(),
                    fix=f"See {self._schema} for all columns.",
                )
            if found[column] == dtype:
                continue
            try:  # exact casts only: another file format may know just one kind of integer
                table = table.with_columns(pl.col(column).cast(dtype, strict=True))
            except pl.exceptions.PolarsError as error:
                raise InputError(
                    f"{self.path}, column {column!r}",
                    expected=str(dtype),
                    got=str(found[column]),
                    fix=f"Convert the column: {error}",
                ) from error
        return table

    def _expected_columns(self) -> dict[str, pl.DataType]:
        if self._schema is None:
            return {}
        module, _, name = self._schema.rpartition(".")
        schema: dict[str, pl.DataType] = getattr(import_module(module), name)
        return schema

    def preview(self, nrows: int = 20) -> TablePreview:
        """First rows, with long texts cut, for Kedro-Viz."""
        return table_preview(pl.read_parquet(self.path, n_rows=nrows, glob=False))


Tables = Mapping[str, pl.DataFrame]


class TablesDataset(FolderDataset[Tables, Tables]):
    """Loads and saves several ``polars.DataFrame`` by name, each a Parquet file in ``path``.

    ``schemas`` says of each table what TableDataset's ``schema`` says of one. While they are
    written none is there: all of them are of one run, or it is made anew.
    """

    def __init__(self, *, path: str, schemas: Mapping[str, str], metadata: Metadata = None) -> None:
        super().__init__(path=path, metadata=metadata)
        self._tables = {
            name: TableDataset(filepath=f"{path}/{name}.parquet", schema=schema)
            for name, schema in schemas.items()
        }

    def load(self) -> Tables:
        return {name: table.read() for name, table in self._tables.items()}

    def save(self, data: Tables) -> None:
        for table in self._tables.values():
            table.path.unlink(missing_ok=True)
        for name, table in self._tables.items():
            table.save(data[name])

    def preview(self, nrows: int = 20) -> TablePreview:
        """First rows of the first table, for Kedro-Viz."""
        return next(iter(self._tables.values())).preview(nrows)

    def _exists(self) -> bool:
        return all(table.exists() for table in self._tables.values())
