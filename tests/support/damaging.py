"""What a failing disk does to a file."""

import os
from pathlib import Path


def flip(file: Path, offset: int, mask: int = 0x10) -> None:
    """Change one byte; the file keeps its size and its time of change, as on a failing disk."""
    times = file.stat()
    content = bytearray(file.read_bytes())
    content[offset] ^= mask
    file.write_bytes(content)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
