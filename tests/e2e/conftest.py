"""A project of its own for each end-to-end test, in a temporary folder."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Project:
    """A copy of the project's configuration with a data folder of its own."""

    root: Path

    @property
    def data(self) -> Path:
        return self.root / "data/test"

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """``kedro run --env test`` with further arguments, in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "kedro", "run", "--env", "test", *arguments],
            cwd=self.root, env=environment(), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def run(self, *arguments: str, code: int = 0) -> str:
        """The same, to its end; gives what was printed."""
        with self.start(*arguments) as process:
            try:
                output, _ = process.communicate(timeout=600)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        assert process.returncode == code, output
        return output

    def copy(self, root: Path) -> "Project":
        """The same project elsewhere, with its data as they stand."""
        shutil.copytree(self.root, root, symlinks=True, dirs_exist_ok=True)
        return Project(root)


def environment() -> dict[str, str]:
    """Quiet, offline, one thread, tracked in the project's own store."""
    quiet = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1"}
    inherited = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    return {**inherited, **quiet, "KEDRO_DISABLE_TELEMETRY": "1"}


def new_project(root: Path) -> Project:
    """The project's configuration at ``root``, no data yet."""
    root.mkdir(parents=True, exist_ok=True)
    shutil.copytree(PROJECT / "conf", root / "conf", dirs_exist_ok=True)
    shutil.copy(PROJECT / "pyproject.toml", root)
    (root / "src").mkdir()  # Kedro wants it inside the project; the package is installed
    return Project(root)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project after one whole run; tests that change it work on a copy."""
    project = new_project(tmp_path_factory.mktemp("finished"))
    (project.root / "output.txt").write_text(project.run(), "utf-8")
    return project


@pytest.fixture
def project(finished: Project, tmp_path: Path) -> Project:
    """A copy of the finished project."""
    return finished.copy(tmp_path / "project")


@pytest.fixture
def empty_project(tmp_path: Path) -> Project:
    """A project without data."""
    return new_project(tmp_path / "project")
