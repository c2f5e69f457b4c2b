"""The user's own evaluation queries and judgements."""

from pathlib import Path
from typing import Any

from gecko_kedro.base.digests import Digests, source_identity
from gecko_kedro.datasets._read_only import ReadOnlyDataset
from gecko_kedro.evaluation.tasks.retrieval import CheckedData


class RetrievalDataDataset(ReadOnlyDataset[CheckedData | None]):
    """Loads a retrieval task from ``source``; None without a source.

    ``source`` is a folder in BEIR layout, or one of Parquet or JSONL files (corpus, queries,
    qrels); ``split`` picks among several files of queries and judgements. The task is named after
    the folder.
    """

    def __init__(
        self,
        *,
        source: str | None,
        split: str,
        task_name: str,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._source = None if source is None else Path(source).expanduser()
        self._split = split
        self._task_name = task_name
        self.metadata = metadata

    def load(self) -> CheckedData | None:
        from gecko_kedro.evaluation.tasks.retrieval_files import read_retrieval_data

        if self._source is None:
            return None
        return read_retrieval_data(
            self._source, name=self._source.name, split=self._split, task=self._task_name
        )

    def fingerprint(self, digests: Digests | None = None) -> str:
        """Identity of what would be read."""
        source = None if self._source is None else str(self._source)
        return source_identity(source, (self._split, self._task_name), digests)

    def _exists(self) -> bool:
        return self._source is None or self._source.is_dir()

    def _describe(self) -> dict[str, Any]:
        return {"source": None if self._source is None else str(self._source)}
