"""What the datasets of this project have in common."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Generic, NoReturn, TypeVar

import polars as pl
from kedro.io.core import AbstractDataset
from kedro_datasets._typing import TablePreview

from gecko_kedro.base.digests import Digests, source_identity
from gecko_kedro.base.errors import InputError, Words

Metadata = dict[str, Any] | None
S = TypeVar("S")
T = TypeVar("T")


class FileDataset(AbstractDataset[S, T], Generic[S, T]):
    """One file, at ``filepath``; with ``optional`` an absent one loads as an empty one."""

    def __init__(self, *, filepath: str, optional: bool = False, metadata: Metadata = None) -> None:
        self._filepath = PurePosixPath(filepath)
        self.optional = optional
        self.metadata = metadata

    @property
    def path(self) -> Path:
        """Where the file lies."""
        return Path(self._filepath)

    def _is_left_out(self) -> bool:
        return self.optional and not self.path.is_file()

    def _exists(self) -> bool:
        return self.path.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}


class FolderDataset(AbstractDataset[S, T], Generic[S, T]):
    """One folder, at ``path``."""

    def __init__(self, *, path: str, metadata: Metadata = None) -> None:
        self._folder = PurePosixPath(path)
        self.metadata = metadata

    @property
    def path(self) -> Path:
        """The folder."""
        return Path(self._folder)

    def _describe(self) -> dict[str, Any]:
        return {"path": str(self._folder)}


class ReadOnlyDataset(AbstractDataset[NoReturn, T], Generic[T]):
    """What comes from outside, or is written by other means: saving it is an error."""

    def save(self, data: NoReturn) -> None:
        raise InputError(
            str(self),
            expected="not to be the output of a node, since it is read only",
            got=Words("a node that saves it"),
            fix="Give the node another output.",
        )


class SourceDataset(ReadOnlyDataset[T], Generic[T]):
    """What lies at ``source``, and nothing where that is None; ``how`` says how it is read."""

    def __init__(self, source: str | None, how: Mapping[str, Any], metadata: Metadata) -> None:
        self._source, self._how, self.metadata = source, dict(how), metadata

    def fingerprint(self, digests: Digests | None = None) -> str:
        """Identity of what would be read: the files' content, and how they are read."""
        return source_identity(self._source, self._how, digests)

    def _exists(self) -> bool:
        return self._source is None or Path(self._source).expanduser().exists()

    def _describe(self) -> dict[str, Any]:
        return {"source": self._source, **self._how}


def table_preview(table: pl.DataFrame) -> TablePreview:
    """``table`` for Kedro-Viz, with long texts cut."""
    rows = [[_short(value) for value in row] for row in table.rows()]
    return TablePreview({"index": list(range(len(rows))), "columns": table.columns, "data": rows})


def _short(value: Any, limit: int = 120) -> Any:
    if isinstance(value, str) and len(value) > limit:
        return value[:limit] + "..."
    return value if isinstance(value, str | int | float | bool | None) else str(value)[:limit]
