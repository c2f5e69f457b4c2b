"""A polars table in one Parquet file, written atomically and checked when it comes from outside."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn, TypeVar

import polars as pl
from kedro.io.core import AbstractDataset
from kedro_datasets._typing import TablePreview

from gecko_kedro.base.errors import InputError, Words
from gecko_kedro.base.files import atomic_path
from gecko_kedro.base.shards import ROWS_AT_ONCE

_Table = TypeVar("_Table", pl.DataFrame, pl.LazyFrame)


class TableDataset(AbstractDataset[pl.DataFrame | pl.LazyFrame, pl.DataFrame]):
    """Loads and saves a ``polars.DataFrame``; a ``LazyFrame`` is written as it is computed.

    ``schema`` names a mapping from column to polars type (``"gecko_kedro.fret.schemas.QUERY"``).
    A table on the disk must have these columns with these types, whoever wrote it, so each pipeline
    can be entered with a file made elsewhere; further columns are kept. With ``optional`` an absent
    file loads as a table without rows.

    Example::

        queries:
          type: gecko_kedro.datasets.TableDataset
          filepath: data/03_primary/queries.parquet
          schema: gecko_kedro.fret.schemas.QUERY
    """

    def __init__(
        self,
        *,
        filepath: str,
        schema: str | None = None,
        optional: bool = False,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._filepath = PurePosixPath(filepath)
        self._schema = schema
        self.optional = optional
        self.metadata = metadata

    @property
    def path(self) -> Path:
        """Where the file lies."""
        return Path(self._filepath)

    def load(self) -> pl.DataFrame:
        if self.optional and not self.path.is_file():
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
        return self.load().lazy()

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
            if found[column] != dtype:
                table = self._cast(table, column, dtype)
        return table

    def _cast(self, table: _Table, column: str, dtype: pl.DataType) -> _Table:
        try:  # exact casts only: another file format may know just one kind of integer
            return table.with_columns(pl.col(column).cast(dtype, strict=True))
        except pl.exceptions.PolarsError as error:
            raise InputError(
                f"{self.path}, column {column!r}",
                expected=str(dtype),
                got=str(table.collect_schema()[column]),
                fix=f"Convert the column: {error}",
            ) from error

    def _expected_columns(self) -> dict[str, pl.DataType]:
        if self._schema is None:
            return {}
        module, _, name = self._schema.rpartition(".")
        schema: dict[str, pl.DataType] = getattr(import_module(module), name)
        return schema

    def preview(self, nrows: int = 20) -> TablePreview:
        """First rows, with long texts cut, for Kedro-Viz."""
        table = pl.read_parquet(self.path, n_rows=nrows, glob=False)
        rows = [[_short(value) for value in row] for row in table.rows()]
        content = {"index": list(range(len(rows))), "columns": table.columns, "data": rows}
        return TablePreview(content)

    def _exists(self) -> bool:
        return self.path.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "schema": self._schema}


class TableScanDataset(AbstractDataset[NoReturn, pl.LazyFrame]):
    """Loads the file of a ``TableDataset`` as a ``polars.LazyFrame``, so that it stays on the disk.

    For a second catalog entry of the same table (Kedro's transcoding)::

        passages@table:
          type: gecko_kedro.datasets.TableDataset
          filepath: data/02_intermediate/passages.parquet
        passages@scan:
          type: gecko_kedro.datasets.TableScanDataset
          filepath: data/02_intermediate/passages.parquet
    """

    def __init__(
        self, *, filepath: str, schema: str | None = None, metadata: dict[str, Any] | None = None
    ) -> None:
        self._table = TableDataset(filepath=filepath, schema=schema)
        self.metadata = metadata

    @property
    def path(self) -> Path:
        """Where the file lies."""
        return self._table.path

    def load(self) -> pl.LazyFrame:
        return self._table.scan()

    def save(self, data: NoReturn) -> None:
        raise InputError(
            "TableScanDataset",
            expected="to be read only",
            got=Words("no save is possible"),
            fix="Save the table through its TableDataset.",
        )

    def _exists(self) -> bool:
        return self._table.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self.path)}


def _short(value: Any, limit: int = 120) -> Any:
    if isinstance(value, str) and len(value) > limit:
        return value[:limit] + "..."
    return value if isinstance(value, str | int | float | bool | None) else str(value)[:limit]
