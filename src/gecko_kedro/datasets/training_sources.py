"""Training sets from outside, as one dataset."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gecko_kedro.base.digests import Digests, source_identity
from gecko_kedro.corpus.readers import looks_like_path
from gecko_kedro.datasets._read_only import ReadOnlyDataset
from gecko_kedro.training.examples import ExampleResult
from gecko_kedro.training.sources import SourceSettings, read_source


class TrainingSourcesDataset(ReadOnlyDataset[dict[str, ExampleResult]]):
    """Loads each of ``sources`` in the unified format, by name.

    A source says where it lies and what its columns are; see
    ``gecko_kedro.training.sources.SourceSettings``. ``seed`` is for converters that draw.

    Example::

        finetune_sources:
          type: gecko_kedro.datasets.TrainingSourcesDataset
          sources:
            - name: faq
              data: data/01_raw/faq.csv
              converter: pairs
              columns: {query: question, positive: answer}
              task: question answering
          seed: 7

        >>> TrainingSourcesDataset(sources=[], seed=7).load()
        {}
    """

    def __init__(
        self,
        *,
        sources: Sequence[Mapping[str, Any]],
        seed: int,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._sources = [dict(source) for source in sources]
        self._seed = seed
        self.metadata = metadata

    def load(self) -> dict[str, ExampleResult]:
        settings = [SourceSettings.model_validate(source) for source in self._sources]
        return {source.name: read_source(source, seed=self._seed) for source in settings}

    def fingerprint(self, digests: Digests | None = None) -> str:
        """Identity of what would be read: each file's content, and how it is read."""
        how = [(source, self._seed) for source in self._sources]
        files = [source_identity(source["data"], (), digests) for source in self._sources]
        return source_identity("training sources" if files else None, (how, files))

    def _exists(self) -> bool:
        return all(
            Path(source["data"]).expanduser().is_file() or not looks_like_path(source["data"])
            for source in self._sources
        )

    def _describe(self) -> dict[str, Any]:
        return {"sources": [source["name"] for source in self._sources]}
