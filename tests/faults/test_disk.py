"""A full disk: a clear error, no half file under a final name, and a re-run that goes on."""

import errno
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from gecko_kedro import cli
from gecko_kedro.base.errors import free_space
from tests.conftest import PROJECT, unavailable
from tests.support.observing import Observe

pytestmark = pytest.mark.faults
PROGRAM = f"{sys.executable} -m tests.support.full_disk"
# What is written, and the disk in kB on which it does not have room.
SIZES = {"shards": 500, "vectors": 500, "table": 500, "plot": 500, "store": 500, "checkpoints": 900}


def on_small_disk(kind: str, folder: Path) -> str:
    """Twice on a real tmpfs, in a mount namespace of its own: too small, then not."""
    if shutil.which("unshare") is None:
        unavailable("no unshare(1): util-linux is needed to mount a small disk")
    script = (
        f"mount -t tmpfs -o size={SIZES[kind]}k none {folder} || exit 9; "
        f"{PROGRAM} {kind} {folder}; echo code $?; find {folder} -type f; echo ----; "
        f"mount -o remount,size=64m {folder} && {PROGRAM} {kind} {folder}"
    )
    done = run(["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script])
    if done.returncode == 9 or "Operation not permitted" in done.stderr:
        unavailable("this machine lets nobody mount a file system")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def under_a_limit(kind: str, folder: Path) -> str:
    """Twice on the disk that there is: no file beyond 100 kB, then any."""
    script = (
        f"{PROGRAM} {kind} {folder} 100000; echo code $?; find {folder} -type f; echo ----; "
        f"{PROGRAM} {kind} {folder}"
    )
    done = run(["sh", "-c", script])
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("kind", "disk"),
    [*((kind, on_small_disk) for kind in SIZES), ("shards", under_a_limit)],
    ids=[*SIZES, "shards_without_a_mount"],
)
def test_what_has_no_room_is_told_leaves_nothing_half_and_goes_on(
    kind: str, disk, tmp_path: Path, observe: Observe
) -> None:
    first, _, second = disk(kind, tmp_path).partition("----\n")
    error = next(line for line in first.splitlines() if line.startswith("InputError: "))
    files = [Path(line) for line in first.splitlines() if line.startswith("/")]
    assert "code 3\n" in first
    assert f"{tmp_path}/" in error
    assert " GB free)" in error
    assert not [file for file in files if file.suffix == ".tmp"]
    assert second.endswith(("whole: True\n", "whole: 60\n"))
    again = ""
    if kind in {"shards", "vectors"}:  # those that were finished stay, and only the others are made
        kept = {f"made shard {int(file.stem[6:11])}" for file in files if file.suffix == ".parquet"}
        assert kept.isdisjoint(second.splitlines())
        assert len(kept) == (2 if disk is on_small_disk else 0)
        again = f", {len(kept)} of 4 shards kept"
    elif kind in {"table", "plot"}:
        assert files == []
    elif kind == "checkpoints":
        kept = {file.parent for file in files if file.name == "sealed.json"}
        assert {file.parent for file in files if file.name == "config.json"} >= kept
        last = max(int(folder.name.removeprefix("checkpoint-")) for folder in kept)
        assert f"resumed after {last}\n" in second
        again = f", from step {last}"
    how = "no room on the disk" if disk is on_small_disk else "no room for the file"
    observe(f"{how}: {kind}", f"{error.removeprefix('InputError: ')}; a re-run ends well{again}")


def test_the_free_space_is_that_of_the_disk_of_a_path_that_is_not_there_yet(tmp_path: Path) -> None:
    whole = shutil.disk_usage(tmp_path).free / 1e9
    said = float(free_space(tmp_path / "not" / "there").removesuffix(" GB"))
    assert said == pytest.approx(whole, rel=0.1)


def test_a_full_disk_that_another_library_meets_is_one_readable_line_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(**_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "cache.json"))

    monkeypatch.setattr(cli, "kedro_run", full)
    result = CliRunner().invoke(cli.run, [])
    assert result.exit_code == 1
    assert f"{tmp_path / 'cache.json'} (" in result.output
    assert "No space left on device" in result.output
