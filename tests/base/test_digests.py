"""Digests: content decides, and what did not change is not read again."""

import hashlib
import os
from pathlib import Path

import pytest

from gecko_kedro.base import digests
from gecko_kedro.base.digests import Digests, file_sha256


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were read."""
    names: list[str] = []

    def observed(file: Path) -> str:
        names.append(file.name)
        return file_sha256(file)

    monkeypatch.setattr(digests, "file_sha256", observed)
    return names


def test_a_part_of_a_file_is_hashed_without_the_rest(tmp_path: Path) -> None:
    file = tmp_path / "vectors"
    file.write_bytes(bytes(range(100)))
    assert file_sha256(file, 10, 5) == hashlib.sha256(bytes(range(10, 15))).hexdigest()
    with pytest.raises(EOFError):
        file_sha256(file, 90, 11)


def test_a_file_is_read_again_only_when_size_or_time_differ(
    tmp_path: Path, read: list[str]
) -> None:
    file = tmp_path / "large.parquet"
    file.write_bytes(b"one")
    cache = tmp_path / "digests.jsonl"
    first = Digests(cache)
    before = first.of(file)
    first.save()
    assert Digests(cache).of(file) == before
    assert read == ["large.parquet"]
    os.utime(file, (1, 1))
    assert Digests(cache).of(file) == before
    assert read == ["large.parquet"] * 2


def test_a_cache_goes_along_with_the_folder_that_it_lies_in(
    tmp_path: Path, read: list[str]
) -> None:
    (tmp_path / "data").mkdir()
    file = tmp_path / "data" / "table"
    file.write_bytes(b"one")
    first = Digests(tmp_path / "data" / ".digests.jsonl")
    before = first.of(file)
    first.save()
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    assert (
        Digests(tmp_path / "elsewhere" / ".digests.jsonl").of(tmp_path / "elsewhere/table")
        == before
    )
    assert read == ["table"]


def test_a_cache_that_a_kill_has_cut_costs_only_what_was_cut(
    tmp_path: Path, read: list[str]
) -> None:
    cache, files = tmp_path / "cache", [tmp_path / name for name in "abc"]
    for file in files:
        file.write_text(file.name)
        found = Digests(cache)
        found.of(file)
        found.save()
    cache.write_bytes(cache.read_bytes()[:-9] + b"\xff")
    again = Digests(cache)
    sums = [again.of(file) for file in files]
    assert read == ["a", "b", "c", "c"]
    again.save()
    assert [Digests(cache).of(file) for file in files] == sums
    assert len(read) == 4


def test_a_folder_is_names_and_contents_and_nothing_hidden(tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep/a.txt").write_text("tea")
    before = Digests().of(folder)
    (folder / ".hidden").write_text("x")
    assert Digests().of(folder) == before
    (folder / "deep/a.txt").rename(folder / "a.txt")
    assert Digests().of(folder) != before


def test_a_name_that_is_no_utf8_and_a_folder_that_links_to_itself_are_no_obstacle(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.txt")).write_text("coffee")
    (folder / "again").symlink_to(folder)
    found = Digests(tmp_path / "cache")
    before = found.of(folder)
    found.save()
    assert Digests(tmp_path / "cache").of(folder) == before
