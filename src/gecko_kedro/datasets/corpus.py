"""A corpus of one's own, or the embedded one, as a dataset."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gecko_kedro.base.digests import Digests, source_identity
from gecko_kedro.base.errors import InputError
from gecko_kedro.corpus.readers import looks_like_path, read_corpus
from gecko_kedro.corpus.results import ReadResult
from gecko_kedro.datasets._read_only import ReadOnlyDataset
from gecko_kedro.datasets.python_docs import PythonDocsDataset

PYTHON_DOCS = "python-docs"


class CorpusDataset(ReadOnlyDataset[ReadResult]):
    """Loads documents from ``source``; see ``gecko_kedro.corpus.readers.read_corpus``.

    ``source`` is a folder of .txt, .md and .html files, a .jsonl, .csv, .tsv or .parquet file, a
    Hugging Face data set id (of which ``split`` is read), or ``"python-docs"``: the documentation
    of the installed packages, with ``python_docs`` as the arguments of PythonDocsDataset.

    Example::

        documents:
          type: gecko_kedro.datasets.CorpusDataset
          source: data/01_raw/articles.jsonl
          columns: {doc_id: id, title: headline, text: body, group: null, summary: null}

        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     _ = Path(folder, "tea.md").write_text("# Tea\\n\\nBoil the water first.")
        ...     dataset = CorpusDataset(source=folder, columns={"text": "text"})
        ...     dataset.load().documents.row(0)
        ('tea.md', 'Tea', None, 'Boil the water first.', 'tea.md')
    """

    def __init__(
        self,
        *,
        source: str,
        columns: Mapping[str, str | None],
        split: str = "train",
        python_docs: Mapping[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._source = source
        self._columns = dict(columns)
        self._split = split
        self._python_docs = None if python_docs is None else dict(python_docs)
        self.metadata = metadata

    def load(self) -> ReadResult:
        if self._source == PYTHON_DOCS:
            return self._installed().load()
        return read_corpus(self._source, columns=self._columns, split=self._split)

    def fingerprint(self, digests: Digests | None = None) -> str:
        """Identity of what would be read: the files' content, and how they are read."""
        if self._source == PYTHON_DOCS:
            return self._installed().fingerprint()
        how = {"columns": sorted(self._columns.items()), "split": self._split}
        return source_identity(self._source, how, digests)

    def _installed(self) -> PythonDocsDataset:
        if self._python_docs is None:
            raise InputError(
                "corpus.python_docs",
                expected=f"include, exclude, stdlib and workers, for the source {PYTHON_DOCS!r}",
                got=None,
                fix="Set it, or name another source.",
            )
        return PythonDocsDataset(**self._python_docs)

    def _exists(self) -> bool:
        if self._source == PYTHON_DOCS or not looks_like_path(self._source):
            return True  # a Hub id cannot be looked up without the network: loading tells
        return Path(self._source).expanduser().exists()

    def _describe(self) -> dict[str, Any]:
        return {"source": self._source, "columns": self._columns, "split": self._split}
