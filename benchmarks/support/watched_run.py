"""A run of Kedro in a process of its own, its time and memory watched from outside, by node."""

import os
import re
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

_EVERY = 0.05  # seconds between two looks at the memory
_MAPS_EVERY = 5  # looks, to one at the maps, which costs some milliseconds
_START_UP = "start-up"
_TICKS = os.sysconf("SC_CLK_TCK")
_RUNNING = re.compile(r"Running node: (?P<name>[\w.]+)")
# Kedro's own, with its lines about nodes.
_LOGGING = """
version: 1
disable_existing_loggers: false
formatters: {plain: {format: "%(message)s"}}
handlers: {console: {class: logging.StreamHandler, stream: ext://sys.stderr, formatter: plain}}
loggers: {kedro: {level: INFO}, gecko_kedro: {level: INFO}}
root: {level: WARNING, handlers: [console]}
"""


@dataclass
class Stage:
    """What a node took. Bytes are peaks; ``above`` is what is resident besides mapped vectors."""

    wall: float = 0.0
    cpu: float = 0.0
    resident: int = 0
    anonymous: int = 0
    mapped: int = 0
    above: int = 0


def watch_run(root: Path, arguments: list[str], *, threads: int) -> dict[str, Stage]:
    """``kedro run`` in the project ``root``: its nodes in order, the start-up first.

    Raises SystemExit with the run's output where it fails.
    """
    (root / "logging.yml").write_text(_LOGGING, "utf-8")
    quiet = {
        "OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1",
        "KEDRO_DISABLE_TELEMETRY": "1", "KEDRO_LOGGING_CONFIG": str(root / "logging.yml"),
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "kedro", "run", *arguments],
        cwd=root, env=os.environ | quiet, text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    watcher = _Watcher(process.pid)
    lines: list[str] = []
    assert process.stderr is not None
    for line in process.stderr:
        lines.append(line)
        if found := _RUNNING.search(line):
            watcher.enter(found["name"])
    watcher.stop()
    if process.wait() != 0:
        raise SystemExit("".join(lines[-40:]))
    return watcher.stages


class _Watcher:
    def __init__(self, pid: int) -> None:
        self._folder = Path(f"/proc/{pid}")
        self.stages: dict[str, Stage] = {}
        self._lock, self._done = threading.Lock(), threading.Event()
        self._entered, self._cpu = time.perf_counter(), 0.0
        self._name = _START_UP
        self.stages[_START_UP] = Stage()
        self._thread = threading.Thread(target=self._look_again)
        self._thread.start()

    def enter(self, name: str) -> None:
        """A node begins, the one before has ended."""
        with self._lock:
            self._close()
            self._name = name
            self.stages[name] = Stage()

    def stop(self) -> None:
        """The process has closed its output."""
        self._done.set()
        self._thread.join()
        self._close()

    def _close(self) -> None:
        now, cpu = time.perf_counter(), max(self._cpu, self._cpu_seconds())
        stage = self.stages[self._name]
        before = sum(other.cpu for other in self.stages.values())
        stage.wall, stage.cpu = now - self._entered, cpu - before
        self._entered, self._cpu = now, cpu

    def _look_again(self) -> None:
        looks = 0
        while not self._done.wait(_EVERY):
            with self._lock:
                new = self.stages[self._name].resident == 0
                self._look(maps=new or looks % _MAPS_EVERY == 0)
            looks += 1

    def _look(self, *, maps: bool) -> None:
        stage = self.stages[self._name]
        try:
            status = (self._folder / "status").read_text("utf-8")
            mapped = self._mapped() if maps else None
            self._cpu = max(self._cpu, self._cpu_seconds())
        except OSError:  # the process has ended
            return
        resident, anonymous = (_kilobytes(status, name) for name in ("VmRSS", "RssAnon"))
        stage.resident = max(stage.resident, resident)
        stage.anonymous = max(stage.anonymous, anonymous)
        if mapped is not None:
            stage.mapped = max(stage.mapped, mapped)
            stage.above = max(stage.above, resident - mapped)

    def _mapped(self) -> int:
        """Resident bytes of the maps of files of vectors."""
        total, counts = 0, False
        for line in (self._folder / "smaps").read_text("utf-8").splitlines():
            if line[0] in "0123456789abcdef":  # a map begins; the names of its numbers are capital
                counts = "/vectors." in line
            elif counts and line.startswith("Rss:"):
                total += int(line.split()[1]) * 1024
        return total

    def _cpu_seconds(self) -> float:
        try:
            fields = (self._folder / "stat").read_text("utf-8").rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / _TICKS


def _kilobytes(status: str, name: str) -> int:
    found = re.search(rf"{name}:\s*(\d+) kB", status)
    return 0 if found is None else int(found[1]) * 1024
