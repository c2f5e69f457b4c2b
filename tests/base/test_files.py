"""Files and folders that are whole or absent."""

import os
from pathlib import Path

import pytest

from gecko_kedro.base.errors import InputError
from gecko_kedro.base.files import atomic_path, write_text


def fail_in(path: Path, error: Exception) -> None:
    """Write a folder with one file in it, and fail before the end."""
    with atomic_path(path) as temporary:
        temporary.mkdir()
        (temporary / "weights").write_text("new")
        raise error


def test_a_file_takes_its_place_only_when_all_went_well(tmp_path: Path) -> None:
    file = tmp_path / "new" / "table.json"
    write_text(file, "old")
    with pytest.raises(KeyError):
        fail_in(file, KeyError())
    assert file.read_text() == "old"
    assert os.listdir(file.parent) == ["table.json"]


def test_a_folder_replaces_a_folder_whole(tmp_path: Path) -> None:
    for number in (1, 2):
        with atomic_path(tmp_path / "model") as temporary:
            (temporary / "deep").mkdir(parents=True)
            (temporary / "deep" / f"weights-{number}").write_text("x")
    assert os.listdir(tmp_path) == ["model"]
    assert os.listdir(tmp_path / "model/deep") == ["weights-2"]


def test_a_folder_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    write_text(tmp_path / "model/weights", "old")
    with pytest.raises(InputError, match="model"):
        fail_in(tmp_path / "model", OSError(28, "No space left on device"))
    assert (tmp_path / "model/weights").read_text() == "old"
    assert os.listdir(tmp_path) == ["model"]


def test_content_and_name_are_flushed_to_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[str] = []
    fsync = os.fsync

    def observed(descriptor: int) -> None:
        flushed.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("no /proc to see which file a descriptor is of")
    monkeypatch.setattr(os, "fsync", observed)
    with atomic_path(tmp_path / "model") as temporary:
        temporary.mkdir()
        (temporary / "weights").write_text("x")
        expected = [str(temporary / "weights"), str(temporary), str(tmp_path)]
    assert flushed == expected
