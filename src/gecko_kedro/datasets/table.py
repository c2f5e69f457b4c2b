"""A polars table in one Parquet file, written atomically and checked when it comes from outside."""

from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any

import polars as pl
from kedro.io.core import AbstractDataset
from kedro_datasets._typing import TablePreview

from gecko_kedro.datasets._atomic import atomic_path
from gecko_kedro.errors import InputError


class TableDataset(AbstractDataset[pl.DataFrame, pl.DataFrame]):
    """Loads and saves a ``polars.DataFrame``.

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
        try:
            table = pl.read_parquet(self.path, memory_map=False)
        except (pl.exceptions.ComputeError, OSError) as error:
            raise InputError(
                str(self.path),
                expected="a whole Parquet file",
                got=str(error),
                fix="Delete the file and run again to make it anew, or put a whole file there.",
            ) from error
        return self._checked(table)

    def save(self, data: pl.DataFrame) -> None:
        table = self._checked(data)
        with atomic_path(self.path) as temporary:
            table.write_parquet(temporary, compression="zstd")

    def _checked(self, table: pl.DataFrame) -> pl.DataFrame:
        for column, dtype in self._expected_columns().items():
            if column not in table.columns:
                raise InputError(
                    str(self.path),
                    expected=f"a column {column!r} ({dtype})",
                    got=table.columns,
                    fix=f"See {self._schema} for all columns.",
                )
            if table.schema[column] != dtype:
                table = self._cast(table, column, dtype)
        return table

    def _cast(self, table: pl.DataFrame, column: str, dtype: pl.DataType) -> pl.DataFrame:
        try:  # exact casts only: another file format may know just one kind of integer
            return table.with_columns(pl.col(column).cast(dtype, strict=True))
        except pl.exceptions.PolarsError as error:
            raise InputError(
                f"{self.path}, column {column!r}",
                expected=str(dtype),
                got=str(table.schema[column]),
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
        table = pl.read_parquet(self.path, n_rows=nrows)
        rows = [[_short(value) for value in row] for row in table.rows()]
        content = {"index": list(range(len(rows))), "columns": table.columns, "data": rows}
        return TablePreview(content)

    def _exists(self) -> bool:
        return self.path.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "schema": self._schema}


def _short(value: Any, limit: int = 120) -> Any:
    if isinstance(value, str) and len(value) > limit:
        return value[:limit] + "..."
    return value if isinstance(value, str | int | float | bool | None) else str(value)[:limit]
