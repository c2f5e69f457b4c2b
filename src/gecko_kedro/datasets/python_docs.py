"""The documentation of the installed Python packages, as a dataset."""

import sys
from collections.abc import Sequence
from importlib import metadata as importlib_metadata
from typing import Any

from gecko_kedro.base.digests import Digests, text_sha256
from gecko_kedro.corpus.python_docs import harvest
from gecko_kedro.corpus.results import ReadResult
from gecko_kedro.datasets._read_only import ReadOnlyDataset


class PythonDocsDataset(ReadOnlyDataset[ReadResult]):
    """Loads the docstrings of this environment: modules, classes and functions.

    Source files are read with ``ast``; nothing is imported or executed. ``include`` and
    ``exclude`` are top-level package names (``include: null`` takes all that are installed),
    ``stdlib`` adds the standard library, ``workers`` processes share the files.

    Example::

        documents:
          type: gecko_kedro.datasets.PythonDocsDataset
          include: null
          exclude: []
          stdlib: true
          workers: 2

        >>> dataset = PythonDocsDataset(include=["json"], exclude=[], stdlib=True, workers=1)
        >>> documents = dataset.load().documents
        >>> documents["group"].unique().to_list()
        ['stdlib']
        >>> "json.dumps" in documents["doc_id"]
        True
    """

    def __init__(
        self,
        *,
        include: Sequence[str] | None,
        exclude: Sequence[str],
        stdlib: bool,
        workers: int,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._include = None if include is None else list(include)
        self._exclude = list(exclude)
        self._stdlib = stdlib
        self._workers = workers
        self.metadata = metadata

    def load(self) -> ReadResult:
        return harvest(
            include=self._include,
            exclude=self._exclude,
            stdlib=self._stdlib,
            workers=self._workers,
        )

    def fingerprint(self, digests: Digests | None = None) -> str:
        """Identity of what would be read: the packages, their versions, Python's, the choice."""
        packages = sorted(
            {(dist.name or "", dist.version or "") for dist in importlib_metadata.distributions()}
        )
        chosen = (self._include, self._exclude, self._stdlib)
        return text_sha256(repr((sys.version, packages, chosen)))

    def _exists(self) -> bool:
        return True  # the standard library is always there

    def _describe(self) -> dict[str, Any]:
        return {
            "include": self._include,
            "exclude": self._exclude,
            "stdlib": self._stdlib,
            "workers": self._workers,
        }
