"""Memory-mapped files that may be cut short while they are read."""

import mmap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gecko_kedro.base.errors import InputError


class MappedFile:
    """The file behind an array.

    Reading a mapped page that its file has lost ends a process with SIGBUS. So its length is
    compared with the mapping before, during and after each use.
    """

    def __init__(self, mapping: mmap.mmap, *, name: str, start: int) -> None:
        self._mapping, self._name = mapping, name
        self._needs = start + len(mapping)
        self._torn = False

    @classmethod
    def behind(cls, array: NDArray[Any]) -> "MappedFile | None":
        """The mapped file that ``array`` is a view of, or None where it is in memory."""
        base: Any = array
        name, start = "memory-mapped file", 0
        while isinstance(base, np.ndarray | memoryview):
            if isinstance(base, np.memmap):
                name, start = str(base.filename or name), base.offset
            base = base.base if isinstance(base, np.ndarray) else base.obj
        if not isinstance(base, mmap.mmap):
            return None
        try:
            base.size()
        except OSError:  # shared memory without a file
            return None
        return cls(base, name=name, start=start - start % mmap.ALLOCATIONGRANULARITY)

    def check(self) -> None:
        """Raise InputError where the file is shorter than its mapping, or ever was."""
        size = self._mapping.size()
        self._torn = self._torn or size < self._needs
        if self._torn:
            raise InputError(
                self._name,
                expected=f"a file that keeps its {self._needs} bytes while an index uses it",
                got=f"{size} bytes, or less for a while",
                fix="Write the file anew under another name, rename it, and open the index again.",
            )

    def checking(self, poll: Callable[[float], None] | None) -> Callable[[float], None]:
        """``poll`` with a check before it, so that a long search ends soon."""

        def checked(share: float) -> None:
            self.check()
            if poll is not None:
                poll(share)

        return checked


@contextmanager
def reading(file: MappedFile | None) -> Iterator[None]:
    """Check the file, if there is one, before and after it is read."""
    if file is not None:
        file.check()
    yield
    if file is not None:
        file.check()
