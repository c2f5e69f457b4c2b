"""A table that a run may do without."""

from pathlib import Path
from typing import Any

import polars as pl

from gecko_kedro.base.digests import Digests, source_identity
from gecko_kedro.datasets._read_only import ReadOnlyDataset
from gecko_kedro.datasets.table import TableDataset


class OptionalTableDataset(ReadOnlyDataset[pl.DataFrame | None]):
    """Loads the Parquet file ``source`` as TableDataset does, or None where it is None.

    Example::

        candidate_passages:
          type: gecko_kedro.datasets.OptionalTableDataset
          source: ${params:finetune.candidate_passages}
          schema: gecko_kedro.corpus.schemas.PASSAGE_SCHEMA

        >>> OptionalTableDataset(source=None, schema="unused").load() is None
        True
    """

    def __init__(
        self, *, source: str | None, schema: str, metadata: dict[str, Any] | None = None
    ) -> None:
        self._source = source
        self._schema = schema
        self.metadata = metadata

    def load(self) -> pl.DataFrame | None:
        if self._source is None:
            return None
        return TableDataset(filepath=self._source, schema=self._schema).load()

    def fingerprint(self, digests: Digests | None = None) -> str:
        """Identity of the file's content; always the same without one."""
        return source_identity(self._source, self._schema, digests)

    def _exists(self) -> bool:
        return self._source is None or Path(self._source).expanduser().is_file()

    def _describe(self) -> dict[str, Any]:
        return {"source": self._source, "schema": self._schema}
