"""The file of an index: vectors, norms and packed passages, for reading or mapping into memory.

    offset 0     magic b"GECKOIDX", then little-endian uint32: version, length and CRC-32 of what
                 comes next: JSON with n, dimension, vectors (name of the number type), level (null
                 without packed passages) and sections (name, dtype, shape, offset, crc32)
    offset 4096  sections, each at a multiple of 64 bytes, little-endian, in rows

Sections are ``vectors``, ``norms`` and, with a level, the five parts of csrc/packed.h.
"""

import json
import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from gecko_kedro.base.errors import InputError, Words
from gecko_kedro.base.files import atomic_path
from gecko_kedro.retrieval.vectors import name_of_type

VERSION = 1
ROWS_AT_ONCE = 49_152  # whole tiles at every level: a multiple of 3 and of 128
_MAGIC = b"GECKOIDX"
_FIXED = struct.Struct("<8sIII")
_HEADER_BYTES = 4096
_ALIGNMENT = 64
_BYTES_AT_ONCE = 16 << 20
_TYPES = {"float16": "<f2", "bfloat16": "<u2", "float32": "<f4"}
_PARTS = ("words", "offsets", "scales", "residuals", "norms")

Parts = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class StoredIndex:
    """What a file holds; ``packed`` are the parts of csrc/packed.h for ``level``, if any."""

    vectors: NDArray[Any]
    norms: NDArray[np.float32]
    level: str | None
    packed: tuple[NDArray[Any], ...]


def write_index(
    path: Path,
    *,
    vectors: NDArray[Any],
    norms: NDArray[np.float32],
    level: str | None,
    packed: Iterable[Parts],
) -> None:
    """Write the file under another name, flush it and rename it.

    packed: the parts of successive blocks of rows, each of whole tiles but the last.
    """
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        sections = [_write(file, "vectors", _pieces(vectors)), _write(file, "norms", [norms])]
        if level is not None:
            sections += _write_packed(file, packed)
        header = {
            "n": len(vectors), "dimension": vectors.shape[1],
            "vectors": name_of_type(vectors), "level": level, "sections": sections,
        }  # fmt: skip
        file.truncate()  # an empty section at the end has no bytes that would make it so long
        text = json.dumps(header).encode()
        file.seek(0)
        file.write(_FIXED.pack(_MAGIC, VERSION, len(text), zlib.crc32(text)) + text)


def _pieces(matrix: NDArray[Any]) -> Iterable[NDArray[Any]]:
    rows = max(1, _BYTES_AT_ONCE // max(1, matrix.shape[1] * matrix.itemsize))
    return (matrix[at : at + rows] for at in range(0, len(matrix), rows))


def _write(file: BinaryIO, name: str, pieces: Iterable[NDArray[Any]]) -> dict[str, Any]:
    """Write a section; its entry in the header."""
    offset = max(_HEADER_BYTES, -(-file.tell() // _ALIGNMENT) * _ALIGNMENT)
    file.seek(offset)
    checksum = 0
    for piece in pieces:
        little = np.ascontiguousarray(piece, dtype=piece.dtype.newbyteorder("<"))
        data = little.reshape(-1).view(np.uint8).data
        checksum = zlib.crc32(data, checksum)
        file.write(data)
    return {"name": name, "offset": offset, "bytes": file.tell() - offset, "crc32": checksum}


def _write_packed(file: BinaryIO, packed: Iterable[Parts]) -> list[dict[str, Any]]:
    """Write words as they come; the rest, 16 bytes a row, is kept until the end."""
    rest: dict[str, list[NDArray[Any]]] = {name: [] for name in _PARTS[1:]}

    def words() -> Iterable[NDArray[Any]]:
        for parts in packed:
            for name, pieces in rest.items():
                pieces.append(np.array(parts[name]))
            yield parts["words"]

    first = _write(file, "words", words())
    return [first, *(_write(file, f"packed_{name}", rest[name]) for name in rest)]


def read_index(path: Path, *, mmap: bool) -> StoredIndex:
    """What ``write_index`` wrote; arrays of memory aligned to 64 bytes, or of a map of the file."""
    header = _read_header(path)
    data = np.memmap(path, dtype=np.uint8, mode="r") if mmap else _read(path)
    sections = {}
    for section in header["sections"]:
        end = section["offset"] + section["bytes"]
        if end > len(data):
            raise _damaged(path, f"{len(data)} bytes of at least {end}")
        part = data[section["offset"] : end]
        if not mmap and zlib.crc32(part.data) != section["crc32"]:
            raise _damaged(path, f"another checksum of section {section['name']}")
        sections[section["name"]] = part
    n, dimension = header["n"], header["dimension"]
    vectors = sections["vectors"].view(_TYPES[header["vectors"]]).reshape(n, dimension)
    packed: tuple[NDArray[Any], ...] = ()
    if header["level"] is not None:
        types = ("<i4", "<i4", "<f4", "<f4", "<f4")
        names = ("words", *(f"packed_{name}" for name in _PARTS[1:]))
        packed = tuple(sections[a].view(b) for a, b in zip(names, types, strict=True))
    return StoredIndex(vectors, sections["norms"].view("<f4"), header["level"], packed)


def _read_header(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise _damaged(path, "no such file")
    with path.open("rb") as file:
        start = file.read(_HEADER_BYTES)
    if len(start) < _FIXED.size or not start.startswith(_MAGIC):
        raise _damaged(path, "no index")
    _, version, length, checksum = _FIXED.unpack_from(start)
    if version != VERSION:
        raise InputError(
            str(path),
            expected=f"format version {VERSION}",
            got=f"version {version}",
            fix="Make the index again from its vectors with this version of gecko_kedro.",
        )
    text = start[_FIXED.size : _FIXED.size + length]
    if zlib.crc32(text) != checksum:
        raise _damaged(path, "another checksum of the header")
    header: dict[str, Any] = json.loads(text)
    return header


def _read(path: Path) -> NDArray[np.uint8]:
    size = path.stat().st_size
    room = np.empty(size + _ALIGNMENT, dtype=np.uint8)
    first = -room.ctypes.data % _ALIGNMENT
    data = room[first : first + size]
    with path.open("rb") as file:
        read = file.readinto(data.data)
    return data[:read]


def _damaged(path: Path, got: str) -> InputError:
    return InputError(
        str(path),
        expected="a whole index file, as Index.save writes it",
        got=Words(got),
        fix="Save the index again, or give the path of another file.",
    )
