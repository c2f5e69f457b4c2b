"""What comes from outside: the corpus, a query log, judged data, tasks, training sets, a table."""

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata as importlib_metadata
from pathlib import Path
from typing import Any

import polars as pl
import yaml
from kedro_datasets._typing import TablePreview
from pydantic import ValidationError

from gecko_kedro.base.digests import Digests, source_identity, text_sha256
from gecko_kedro.base.errors import InputError
from gecko_kedro.corpus.python_docs import harvest
from gecko_kedro.corpus.quarantine import Checked
from gecko_kedro.corpus.readers import looks_like_path, read_corpus, read_query_log
from gecko_kedro.corpus.settings import PYTHON_DOCS, PythonDocsSettings
from gecko_kedro.corpus.written_files import WRITTEN
from gecko_kedro.datasets._base import Metadata, ReadOnlyDataset, SourceDataset, table_preview
from gecko_kedro.datasets.table import TableDataset
from gecko_kedro.evaluation.tasks.reading import read_tasks
from gecko_kedro.evaluation.tasks.retrieval import CheckedData
from gecko_kedro.evaluation.tasks.retrieval_files import read_retrieval_data
from gecko_kedro.evaluation.tasks.settings import PYTHON_STDLIB, TaskPrompts, TaskSettings
from gecko_kedro.evaluation.tasks.task import ReadTasks
from gecko_kedro.training.sources import SourceSettings, read_source

logger = logging.getLogger(__name__)
ROOT_VARIABLE = "GECKO_SHARED_DATA"


class CorpusDataset(SourceDataset[Checked]):
    """Loads documents from ``source``; see ``gecko_kedro.corpus.readers.read_corpus``.

    The source ``"python-docs"`` is the documentation of the installed packages, of which
    ``python_docs`` (PythonDocsSettings) says which.

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     _ = Path(folder, "tea.md").write_text("# Tea\\n\\nBoil the water first.")
        ...     dataset = CorpusDataset(source=folder, columns={"text": "text"})
        ...     dataset.load().rows.row(0)
        ('tea.md', 'Tea', None, 'Boil the water first.', 'tea.md')
    """

    def __init__(
        self,
        *,
        source: str,
        columns: Mapping[str, str | None],
        split: str = "train",
        python_docs: Mapping[str, Any] | None = None,
        metadata: Metadata = None,
    ) -> None:
        how = {"columns": dict(sorted(columns.items())), "split": split}
        super().__init__(source, how, metadata)
        self._python_docs = PythonDocsSettings.model_validate(python_docs or {})

    def load(self) -> Checked:
        if self._source == PYTHON_DOCS:
            return harvest(self._python_docs)
        return read_corpus(str(self._source), **self._how)

    def fingerprint(self, digests: Digests | None = None) -> str:
        """Of the installed packages their names and versions, Python's version and the choice.

        What is left out for the sake of a language model's adaptation counts too.
        """
        if self._source != PYTHON_DOCS:
            return super().fingerprint(digests)
        packages = {
            (one.name or "", one.version or "") for one in importlib_metadata.distributions()
        }
        chosen = self._python_docs.model_dump(exclude={"workers"})
        left_out = (digests or Digests()).of(WRITTEN / "adaptation.jsonl")
        return text_sha256(repr((sys.version, sorted(packages), chosen, left_out)))

    def _exists(self) -> bool:
        # A Hub id cannot be looked up without the network: loading tells.
        return not looks_like_path(str(self._source)) or super()._exists()


class QueryLogDataset(SourceDataset[Checked]):
    """Loads queries from ``source``; see ``gecko_kedro.corpus.readers``.

    >>> QueryLogDataset(source=None, columns={"query": "query"}).load().rows.height
    0
    """

    def __init__(
        self, *, source: str | None, columns: Mapping[str, str | None], metadata: Metadata = None
    ) -> None:
        super().__init__(source, {"columns": dict(sorted(columns.items()))}, metadata)

    def load(self) -> Checked:
        return read_query_log(self._source, **self._how)

    def preview(self, nrows: int = 20) -> TablePreview:
        """The first queries, for Kedro-Viz."""
        return table_preview(self.load().rows.head(nrows))


class RetrievalDataDataset(SourceDataset[CheckedData | None]):
    """Loads a retrieval task from ``source``; None without a source.

    ``source`` is a folder in BEIR layout, or one of Parquet or JSONL files (corpus, queries,
    qrels); ``split`` picks among several files of queries and judgements. The task is named after
    the folder.
    """

    def __init__(
        self, *, source: str | None, split: str, task_name: str, metadata: Metadata = None
    ) -> None:
        super().__init__(source, {"split": split, "task": task_name}, metadata)

    def load(self) -> CheckedData | None:
        if self._source is None:
            return None
        folder = Path(self._source).expanduser()
        return read_retrieval_data(folder, name=folder.name, **self._how)


class OptionalTableDataset(SourceDataset[pl.DataFrame | None]):
    """Loads the Parquet file ``source`` as TableDataset does, or None where it is None."""

    def __init__(self, *, source: str | None, schema: str, metadata: Metadata = None) -> None:
        super().__init__(source, {"schema": schema}, metadata)

    def load(self) -> pl.DataFrame | None:
        if self._source is None:
            return None
        return TableDataset(filepath=self._source, **self._how).read()


class TrainingSourcesDataset(ReadOnlyDataset[dict[str, Checked]]):
    """Loads each of ``sources`` (SourceSettings as plain data) in the unified format, by name.

    ``seed`` is for converters that draw.
    """

    def __init__(
        self, *, sources: Sequence[Mapping[str, Any]], seed: int, metadata: Metadata = None
    ) -> None:
        self._sources = [dict(source) for source in sources]
        self._seed = seed
        self.metadata = metadata

    def load(self) -> dict[str, Checked]:
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


class EvaluationTasksDataset(ReadOnlyDataset[ReadTasks]):
    """Loads local tasks and looks up those of mteb.

    ``tasks`` are TaskSettings as plain data; relative paths are below ``root``, by default the
    folder that the environment variable GECKO_SHARED_DATA names, else the working folder.
    ``filepath`` is the YAML file of task prompts and ``overrides`` what replaces some of them.
    ``more`` are the tasks of another list, of which those that are in both are read once. With
    ``optional`` local tasks that are not on this machine are left out with a warning.
    """

    def __init__(
        self,
        *,
        tasks: Sequence[Mapping[str, Any]],
        filepath: str,
        more: Sequence[Mapping[str, Any]] = (),
        overrides: Mapping[str, Any] | None = None,
        root: str | None = None,
        optional: bool = False,
        metadata: Metadata = None,
    ) -> None:
        self._tasks = [_checked(task) for task in tasks or ()]
        self._more = [task for task in map(_checked, more or ()) if task not in self._tasks]
        self._prompts, self._overrides = filepath, dict(overrides or {})
        self._root = Path(root or os.environ.get(ROOT_VARIABLE) or ".").expanduser()
        self._optional = optional
        self.metadata = metadata

    def load(self) -> ReadTasks:
        data = yaml.safe_load(Path(self._prompts).read_text("utf-8"))
        prompts = TaskPrompts.checked(data, self._overrides)
        own, more = (
            read_tasks(self._wanted(one), prompts, root=self._root)
            for one in (self._tasks, self._more)
        )
        return ReadTasks([*own.tasks, *more.tasks], pl.concat([own.quarantine, more.quarantine]))

    def fingerprint(self, digests: Digests | None = None) -> str:
        """Identity of the declarations, the prompts and all local files."""
        tasks = [*self._tasks, *self._more]
        places = [self._place(task.path) for task in tasks if task.path]
        files = [source_identity(str(place), (), digests) for place in places]
        if any(task.path == PYTHON_STDLIB for task in tasks):
            files.append(sys.version)  # whose docstrings are read
        how = [[task.model_dump() for task in tasks], self._overrides, files]
        return source_identity(self._prompts, how, digests)

    def _wanted(self, tasks: list[TaskSettings]) -> list[TaskSettings]:
        there = [task for task in tasks if task.path is None or self._place(task.path).exists()]
        if not self._optional:
            return tasks
        if missing := [task.name for task in tasks if task not in there]:
            logger.warning("No local copy below %s of %s", self._root, ", ".join(missing))
        return there

    def _place(self, path: str) -> Path:
        return WRITTEN if path == PYTHON_STDLIB else self._root / path

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        names = [task.name for task in (*self._tasks, *self._more)]
        return {"tasks": names, "root": str(self._root)}


def _checked(task: Mapping[str, Any]) -> TaskSettings:
    try:
        return TaskSettings.model_validate(dict(task))
    except ValidationError as error:
        raise InputError(
            "evaluation tasks", expected="name, and for a local task type and path",
            got=dict(task), fix="; ".join(f"{e['loc']}: {e['msg']}" for e in error.errors()),
        ) from error  # fmt: skip
