"""Tables that are made together and read together, as one dataset."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import polars as pl
from kedro.io.core import AbstractDataset
from kedro_datasets._typing import TablePreview

from gecko_kedro.datasets.table import TableDataset

Tables = Mapping[str, pl.DataFrame]


class TablesDataset(AbstractDataset[Tables, Tables]):
    """Loads and saves several ``polars.DataFrame`` by name, each a Parquet file in ``path``.

    ``schemas`` says of each table what TableDataset's ``schema`` says of one. While they are
    written none is there: all of them are of one run, or it is made anew.

    Example::

        evaluation_scores:
          type: gecko_kedro.datasets.TablesDataset
          path: data/07_model_output/evaluation_scores
          schemas:
            scores: gecko_kedro.evaluation.scoring.score_table.SCORES_SCHEMA
            failures: gecko_kedro.evaluation.scoring.score_table.FAILURES_SCHEMA
    """

    def __init__(
        self, *, path: str, schemas: Mapping[str, str], metadata: dict[str, Any] | None = None
    ) -> None:
        self._folder = PurePosixPath(path)
        self._tables = {
            name: TableDataset(filepath=f"{path}/{name}.parquet", schema=schema)
            for name, schema in schemas.items()
        }
        self.metadata = metadata

    @property
    def path(self) -> Path:
        """The folder with the files."""
        return Path(self._folder)

    def load(self) -> Tables:
        return {name: table.load() for name, table in self._tables.items()}

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

    def _describe(self) -> dict[str, Any]:
        return {"path": str(self._folder), "tables": list(self._tables)}
