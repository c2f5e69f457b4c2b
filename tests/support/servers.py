"""Real servers for as long as a test needs them."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.e2e.conftest import environment

_START_SECONDS = 180


@contextmanager
def server(*command: str, port: int, cwd: Path, ready: str, **variables: str) -> Iterator[str]:
    """The address of ``command``, once ``ready`` (a path) answers; stopped with its children."""
    log = cwd / f"server-{port}.log"
    scripts = str(Path(sys.executable).parent)
    path = f"{scripts}{os.pathsep}{os.environ['PATH']}"  # servers start further commands by name
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *command], cwd=cwd, start_new_session=True,
            env={**environment(), "MLFLOW_DISABLE_TELEMETRY": "true", "PATH": path, **variables},
            stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        address = f"http://127.0.0.1:{port}"
        _wait(process, f"{address}{ready}", log)
        yield address
    finally:
        _stop(process)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """End the server and what it has started, which is one process group."""
    for way in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, way)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=20)
            return


def _wait(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10):
                return
        except (urllib.error.URLError, OSError) as error:
            if isinstance(error, urllib.error.HTTPError):  # it holds the connection
                error.close()
            ended = process.poll() is not None
            if ended or time.monotonic() > deadline:
                pytest.fail(f"no answer from {url}\n{log.read_text('utf-8', 'replace')[-4000:]}")
            time.sleep(0.2)


def free_port() -> int:
    """A port that nobody listens on. Kedro-Viz takes none above 49151."""
    for port in range(20_000 + os.getpid() % 20_000, 49_151):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise RuntimeError("no free port")
