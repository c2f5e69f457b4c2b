"""One contiguous file of vectors, written part by part in place, each part with its SHA-256."""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gecko_kedro.base.digests import file_sha256
from gecko_kedro.base.errors import InputError, write_error
from gecko_kedro.base.files import write_text
from gecko_kedro.retrieval.settings import VectorType
from gecko_kedro.retrieval.vector_table import STORED_AS

_SHAPE = "vectors.json"


@dataclass(frozen=True)
class Shape:
    """What every row of the file is: ``dimension`` numbers of ``dtype``, little-endian."""

    dtype: VectorType
    dimension: int

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return self.dimension * np.dtype(STORED_AS[self.dtype]).itemsize


class VectorFile:
    """``vectors.<dtype>`` in ``folder``: the rows one after the other, without a header.

    ``vectors.json`` says dtype and dimension, so that ``numpy.memmap`` can read it. Beside it lies
    a record for each part, ``<part>.vectors.json``: first row, number of rows, SHA-256.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def start_afresh(self) -> None:
        """Remove the file and all records of parts."""
        for file in self._folder.glob("*vectors.*"):
            file.unlink()

    def write(self, part: str, start: int, rows: NDArray[Any], dtype: VectorType) -> None:
        """Put ``rows`` (n, d), as ``narrowed`` gives them, at row ``start``; on the disk after it.

        Raises InputError where they do not fit the rows that are there, or cannot be written.
        """
        shape = Shape(dtype, rows.shape[1])
        self._check_shape(shape)
        data = np.ascontiguousarray(rows).reshape(-1).view(np.uint8).data
        file = self._file(shape)
        try:
            file.touch()
            with file.open("r+b") as opened:
                opened.seek(start * shape.row_bytes)
                opened.write(data)
                opened.flush()
                os.fsync(opened.fileno())
        except OSError as error:
            raise write_error(file, error) from error
        digest = hashlib.sha256(data).hexdigest()
        record = {"start": start, "rows": len(rows), "sha256": digest}
        write_text(self._record(part), json.dumps(record))

    def is_whole(self, part: str) -> bool:
        """Whether the bytes of ``part`` are those that were written. Reads them."""
        shape = self.shape()
        if shape is None:
            return False
        try:
            record = json.loads(self._record(part).read_text("utf-8"))
            place = (int(record[key]) * shape.row_bytes for key in ("start", "rows"))
            found = file_sha256(self._file(shape), *place)
            return bool(found == record["sha256"])
        except (OSError, EOFError, ValueError, LookupError, TypeError):
            return False

    def load(self, rows: int) -> tuple[NDArray[Any], VectorType] | None:
        """The first ``rows`` rows as a read-only memory map, and their type; None if cut short."""
        shape = self.shape()
        if shape is None:
            return None
        size, kind = (rows, shape.dimension), np.dtype(STORED_AS[shape.dtype])
        if rows == 0:  # nothing can be mapped
            return np.empty(size, kind), shape.dtype
        file = self._file(shape)
        if not file.is_file() or file.stat().st_size < rows * shape.row_bytes:
            return None
        return np.memmap(file, dtype=kind, mode="r", shape=size), shape.dtype

    def shape(self) -> Shape | None:
        """What ``vectors.json`` says; None where it is not there or damaged."""
        try:
            found = json.loads((self._folder / _SHAPE).read_text("utf-8"))
            shape = Shape(found["dtype"], int(found["dimension"]))
            return shape if shape.dtype in STORED_AS else None
        except (OSError, ValueError, LookupError, TypeError):
            return None

    def _check_shape(self, shape: Shape) -> None:
        found = self.shape()
        if found is None:
            write_text(self._folder / _SHAPE, json.dumps(asdict(shape)))
        elif found != shape:
            raise InputError(
                str(self._folder),
                expected=f"vectors of {found.dimension} dimensions of {found.dtype}",
                got=f"{shape.dimension} of {shape.dtype}",
                fix="One table has vectors of one model: delete the folder and embed again.",
            )

    def _file(self, shape: Shape) -> Path:
        return self._folder / f"vectors.{shape.dtype}"

    def _record(self, part: str) -> Path:
        return self._folder / f"{part}.vectors.json"
