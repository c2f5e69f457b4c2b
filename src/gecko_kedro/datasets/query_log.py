"""A log of real queries without labels, as a dataset."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kedro_datasets._typing import TablePreview

from gecko_kedro.base.digests import Digests, source_identity
from gecko_kedro.corpus.query_log import read_query_log
from gecko_kedro.corpus.results import QueryLogResult
from gecko_kedro.datasets._read_only import ReadOnlyDataset


class QueryLogDataset(ReadOnlyDataset[QueryLogResult]):
    """Loads queries from ``source``; see ``gecko_kedro.corpus.query_log``.

    ``source`` is a .txt file of one query a line, a .jsonl, .csv, .tsv or .parquet file, or None:
    a log without queries.

    Example::

        query_log:
          type: gecko_kedro.datasets.QueryLogDataset
          source: data/01_raw/searches.csv
          columns: {query_id: null, query: search_text}

        >>> QueryLogDataset(source=None, columns={"query": "query"}).load().queries.height
        0
    """

    def __init__(
        self,
        *,
        source: str | None,
        columns: Mapping[str, str | None],
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._source = source
        self._columns = dict(columns)
        self.metadata = metadata

    def load(self) -> QueryLogResult:
        return read_query_log(self._source, columns=self._columns)

    def preview(self, nrows: int = 20) -> TablePreview:
        """The first queries, for Kedro-Viz."""
        queries = self.load().queries.head(nrows)
        rows = [list(row) for row in queries.rows()]
        return TablePreview(
            {"index": list(range(len(rows))), "columns": queries.columns, "data": rows}
        )

    def fingerprint(self, digests: Digests | None = None) -> str:
        """Identity of what would be read: the file's content or time, and how it is read."""
        return source_identity(self._source, sorted(self._columns.items()), digests)

    def _exists(self) -> bool:
        return self._source is None or Path(self._source).expanduser().is_file()

    def _describe(self) -> dict[str, Any]:
        return {"source": self._source, "columns": self._columns}
