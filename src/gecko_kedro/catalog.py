"""A catalog in which an output can be there and yet have to be made anew."""

from collections.abc import Iterable
from typing import Any

from kedro.io import DataCatalog


class ProjectCatalog(DataCatalog):
    """Kedro's catalog, for whose ``exists`` a stale output is missing until it is saved.

    ``--only-missing-outputs`` asks nothing else. The old output stays where it is until the new one
    takes its place.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        self._stale: set[str] = set()
        super().__init__(*args, **options)

    def declare_stale(self, names: Iterable[str]) -> None:
        """From now on these outputs count as missing."""
        self._stale.update(names)

    def exists(self, ds_name: str) -> bool:
        return ds_name not in self._stale and bool(super().exists(ds_name))

    def save(self, ds_name: str, data: Any) -> None:
        super().save(ds_name, data)
        self._stale.discard(ds_name)
