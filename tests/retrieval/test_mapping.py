"""Memory-mapped files that are cut short under an index."""

import mmap
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gecko_kedro.base.errors import InputError
from gecko_kedro.retrieval import Index
from gecko_kedro.retrieval.vectors import MappedFile

CUT = "a file that keeps its"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    rows = np.random.default_rng(0).normal(size=(60_000, 32)).astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    return tmp_path / "rows.npy"


def queries(n):
    return np.random.default_rng(1).normal(size=(n, 32)).astype(np.float32)


def test_a_file_cut_before_a_search_is_refused(level, path: Path):
    index = Index(np.load(path, mmap_mode="r"))
    size = path.stat().st_size
    os.truncate(path, 100_000)
    for use in (
        lambda: index.search(queries(3), 2),
        lambda: index.score_pairs(queries(1), [[59_999]]),
    ):
        with pytest.raises(InputError, match=CUT):
            use()
    os.truncate(path, size)
    with pytest.raises(InputError, match="or less for a while"):  # its zeros are no vectors
        index.search(queries(3), 2)


def test_a_file_cut_in_a_search_ends_it_with_an_error(level, path: Path):
    index = Index(np.load(path, mmap_mode="r"))
    reports: list[float] = []

    def cut(share: float) -> None:
        reports.append(share)
        os.truncate(path, path.stat().st_size - 4)  # its last page is still there

    with pytest.raises(InputError, match=CUT):
        index.search(queries(3000), 5, progress=cut)
    assert reports


def test_a_file_that_grows_is_no_error(level, path: Path):
    index = Index(np.load(path, mmap_mode="r"))
    expected = index.search(queries(3), 2)
    with path.open("ab") as file:
        file.write(b"more")
    assert (index.search(queries(3), 2).ids == expected.ids).all()


def test_the_map_behind_an_array_is_found_through_views(path: Path, tmp_path: Path):
    mapped = np.load(path, mmap_mode="r")
    assert MappedFile(np.asarray(mapped)[5:, ::2].T)
    assert not MappedFile(np.zeros((2, 2)))
    with mmap.mmap(-1, 4096) as anonymous:
        assert not MappedFile(np.frombuffer(anonymous, dtype=np.uint8))
    late = np.memmap(path, dtype=np.float32, mode="r", offset=128 + 4096 * 3, shape=(5000, 32))
    index = Index(late)
    os.truncate(path, 4096 * 3 + 5000 * 128)  # 128 bytes too few
    with pytest.raises(InputError, match=CUT):
        index.search(queries(3), 2)


_SIGNALS = """
import sys
import numpy as np
from gecko_kedro.retrieval import Index


def caught():  # bit n - 1 is signal n; from the 32nd on they are the C library's own
    lines = open("/proc/self/status").read().splitlines()
    return int(next(line for line in lines if line.startswith("SigCgt")).split()[1], 16) % 2**31


before = caught()
Index(np.load(sys.argv[1], mmap_mode="r")).search(np.ones((1, 32), dtype=np.float32), 1)
assert caught() == before, (before, caught())
"""


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="no /proc")
def test_the_signals_of_the_process_are_left_alone(path: Path):
    subprocess.run([sys.executable, "-c", _SIGNALS, str(path)], check=True)
