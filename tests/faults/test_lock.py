"""Two runs at once, and folders that cannot be written to."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline

from gecko_kedro.base.errors import InputError
from gecko_kedro.datasets import TableDataset
from gecko_kedro.hooks.lock import LockHooks, RunLock, refuse_unwritable
from tests.conftest import unavailable
from tests.support.observing import Observe

pytestmark = pytest.mark.faults
HOLDER = """
import sys, time
from pathlib import Path
from gecko_kedro.hooks.lock import RunLock
lock = RunLock(Path(sys.argv[1]))
lock.acquire()
print("held", flush=True)
time.sleep(600)
"""
TRIES = """
import sys
from pathlib import Path
from gecko_kedro.base.errors import InputError
from gecko_kedro.hooks.lock import RunLock, refuse_unwritable
folder = Path(sys.argv[1])
for start in (RunLock(folder).acquire, lambda: refuse_unwritable([folder / "layer"])):
    try:
        start()
    except InputError as error:
        print(error)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that runs in ``tmp_path / "data"``."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "data")], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def hooks_on(folder: Path) -> LockHooks:
    hooks = LockHooks()
    loader = {"globals": {"data": folder.name}}
    hooks.after_context_created(SimpleNamespace(project_path=folder.parent, config_loader=loader))
    return hooks


def begin(hooks: LockHooks, folder: Path, *, others: Any = None) -> None:
    """What pluggy does with a wrapper; ``others`` is what the hooks inside it do."""
    pipeline = Pipeline([Node(lambda: None, inputs=None, outputs="table", name="make")])
    catalog = DataCatalog({"table": TableDataset(filepath=str(folder / "layer/table.parquet"))})
    wrapper = hooks.before_pipeline_run(pipeline, catalog)
    next(wrapper)
    try:
        if others is not None:
            wrapper.throw(others)
        wrapper.send(None)
    except StopIteration:
        pass


def test_a_second_run_is_refused_and_told_which_process_runs_where_since_when(
    tmp_path: Path, holder: subprocess.Popen[str], observe: Observe
) -> None:
    with pytest.raises(InputError) as refusal:
        begin(hooks_on(tmp_path / "data"), tmp_path / "data")
    text = str(refusal.value)
    assert f"process {holder.pid} on " in text
    assert "since 2" in text
    assert str(tmp_path / "data") in text
    assert "--env" in text
    observe("two runs on one data folder", refusal.value)


def test_a_killed_run_leaves_no_lock(
    tmp_path: Path, holder: subprocess.Popen[str], observe: Observe
) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    begin(hooks_on(tmp_path / "data"), tmp_path / "data")
    observe("a run killed with SIGKILL, then another one", "the lock is free; the run starts")


def test_runs_in_folders_of_their_own_do_not_hinder_each_other(
    tmp_path: Path, holder: subprocess.Popen[str], observe: Observe
) -> None:
    inner = tmp_path / "data" / "test"  # as conf/test has it
    begin(hooks_on(inner), inner)
    observe("two runs with data folders of their own (--env)", "both run")


def test_reading_is_not_hindered(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    import polars as pl

    pl.DataFrame({"x": [1]}).write_parquet(tmp_path / "data" / "table.parquet")
    assert TableDataset(filepath=str(tmp_path / "data" / "table.parquet")).preview()


def test_the_lock_is_given_back_at_the_end_of_a_run_and_when_another_hook_stops_it(
    tmp_path: Path,
) -> None:
    first, second = hooks_on(tmp_path / "data"), hooks_on(tmp_path / "data")
    begin(first, tmp_path / "data")
    with pytest.raises(InputError, match="one run at a time"):
        begin(second, tmp_path / "data")
    first.after_pipeline_run()
    with pytest.raises(RuntimeError, match="stale"):
        begin(second, tmp_path / "data", others=RuntimeError("stale outputs"))
    begin(first, tmp_path / "data")
    first.on_pipeline_error(RuntimeError("a node failed"))
    begin(second, tmp_path / "data")
    begin(second, tmp_path / "data")  # a notebook: the run before was interrupted
    second.after_pipeline_run()
    assert [file.name for file in (tmp_path / "data").iterdir()] == [".run.lock"]


def test_a_folder_below_a_file_is_refused_before_any_work(tmp_path: Path, observe: Observe) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "layer").write_text("a file where a folder is wanted", "utf-8")
    with pytest.raises(InputError) as refusal:
        begin(hooks_on(tmp_path / "data"), tmp_path / "data")
    assert str(tmp_path / "data" / "layer") in str(refusal.value)
    assert "free)" in str(refusal.value)
    RunLock(tmp_path / "data").acquire()  # it was given back
    observe("a file where a folder of the data is wanted", refusal.value)


def test_a_read_only_data_folder_is_refused_before_any_work(
    tmp_path: Path, observe: Observe
) -> None:
    if shutil.which("unshare") is None:
        unavailable("no unshare(1): util-linux is needed to mount a disk read-only")
    script = f"mount -t tmpfs -o ro none {tmp_path} || exit 9; exec {sys.executable} -c '{TRIES}' "
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script + str(tmp_path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode == 9 or "Operation not permitted" in done.stderr:
        unavailable("this machine lets nobody mount a file system")
    lock, folder = done.stdout.splitlines()
    assert "Read-only file system" in lock
    assert "Read-only file system" in folder
    assert str(tmp_path / "layer") in folder
    observe("a data folder on a disk mounted read-only", lock)


def test_nothing_is_made_while_folders_are_tried(tmp_path: Path) -> None:
    refuse_unwritable([tmp_path / "not" / "there" / "yet"])
    assert not list(tmp_path.iterdir())
