"""Where the candidates are searched, and which of them are there already."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from gecko_kedro.datasets._base import ReadOnlyDataset
from gecko_kedro.datasets.files import WorkFolderDataset
from gecko_kedro.datasets.vector_shards import FinishedShardsDataset
from gecko_kedro.engine import EngineSettings


class SearchWork(NamedTuple):
    """The indices of the finished shards, the folder of graphs, and the engine that searches."""

    finished: frozenset[int]
    graphs: Path
    engine: EngineSettings


class SearchWorkDataset(ReadOnlyDataset[SearchWork]):
    """Loads what a search goes on from; none of it changes a result.

    ``finished`` is the configuration of a ``FinishedShardsDataset``, ``graphs`` the folder of the
    graph of an approximate search.
    """

    def __init__(
        self,
        *,
        finished: Mapping[str, Any],
        graphs: str,
        engine: Mapping[str, Any],
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._finished = FinishedShardsDataset(**finished)
        self._graphs = WorkFolderDataset(path=graphs)
        self._engine = EngineSettings.model_validate(dict(engine))
        self.of = self._finished.of
        self.metadata = metadata

    def expect_fingerprint(self, fingerprint: str) -> None:
        """As the dataset of the finished shards has it."""
        self._finished.expect_fingerprint(fingerprint)

    def load(self) -> SearchWork:
        return SearchWork(self._finished.load(), self._graphs.load(), self._engine)

    def _describe(self) -> dict[str, Any]:
        return {"of": self.of}
