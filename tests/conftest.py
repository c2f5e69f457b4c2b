"""Fixtures shared by all tests."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.observing import Observe

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

with suppress(ModuleNotFoundError):  # the environment of vLLM has none
    import hypothesis

    hypothesis.settings.register_profile("busy", deadline=None)  # others want the cores too
    hypothesis.settings.load_profile("busy")

PROJECT = Path(__file__).resolve().parents[1]


def unavailable(reason: str) -> None:
    """Skip on a user's machine; fail where CI promises that everything is there."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must have it: {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """Gives the folder of a real data set, ``shared_data("eval_cranfield")``."""
    root = Path(os.environ.get("GECKO_SHARED_DATA", PROJECT.parent / "shared" / "data"))

    def folder(name: str) -> Path:
        path = root / name
        if not path.is_dir():
            unavailable(f"no real data at {path}: set GECKO_SHARED_DATA")
        return path

    return folder


@pytest.fixture
def observe(record_property: Callable[[str, object], None], tmp_path: Path) -> Observe:
    """``observe(fault, result)``: a row of docs/faults.md, once the test has passed."""

    def keep(fault: str, result: object) -> None:
        record_property("fault", fault)
        record_property("observed", str(result).replace(str(tmp_path), "..."))

    return keep
