"""Parts of a run are nested MLflow runs; a tracking server that fails costs nothing else."""

import logging
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from gecko_kedro.base import events
from gecko_kedro.hooks.tracking import TrackingHooks, end_lost_runs


class Recorder:
    """Stands in for MLflow's client: notes what it is asked, and fails where it is told to."""

    def __init__(self, failing: str = "") -> None:
        self.calls: list[tuple[str, Any]] = []
        self._failing = failing

    def create_run(self, experiment: str, *, run_name: str, tags: dict[str, str]) -> Any:
        self._note("create_run", (run_name, tags["mlflow.parentRunId"]))
        info = type("Info", (), {"run_id": f"run of {run_name}"})
        return type("Run", (), {"info": info})

    def log_batch(self, run: str, *, params: Any = (), metrics: Any = ()) -> None:
        named = [(entry.key, entry.value) for entry in (*params, *metrics)]
        self._note("log_batch", (run, named))

    def set_terminated(self, run: str, status: str) -> None:
        self._note("set_terminated", (run, status))

    def _note(self, name: str, arguments: Any) -> None:
        self.calls.append((name, arguments))
        if name == self._failing:
            raise OSError("the server is gone")


def tracking(client: Recorder) -> TrackingHooks:
    hooks = TrackingHooks()
    hooks._client, hooks._run_id, hooks._experiment_id = client, "parent", "1"
    hooks._stop_listening = [
        events.subscribe(hooks._on_event), events.subscribe_parts(hooks._child_run)
    ]  # fmt: skip
    return hooks


def stop(hooks: TrackingHooks) -> None:
    hooks._client = None
    hooks._end("FINISHED")


def test_what_is_reported_in_a_part_goes_to_a_run_of_its_own() -> None:
    client = Recorder()
    hooks = tracking(client)
    with events.part("row", {"relabel": {"choose": {"negative": "none"}}}):
        events.emit("scores", 1, {"own": 0.5})
    events.emit("cost", 0, {"seconds": 2.0})
    stop(hooks)
    assert client.calls == [
        ("create_run", ("row", "parent")),
        ("log_batch", ("run of row", [("relabel.choose.negative", "none")])),
        ("log_batch", ("run of row", [("scores.own", 0.5)])),
        ("set_terminated", ("run of row", "FINISHED")),
        ("log_batch", ("parent", [("cost.seconds", 2.0)])),
    ]


def test_an_error_in_a_part_ends_its_run_as_failed() -> None:
    client = Recorder()
    hooks = tracking(client)
    with pytest.raises(ValueError, match="lost"), events.part("row", {}):
        raise ValueError("lost")
    stop(hooks)
    assert client.calls[-1] == ("set_terminated", ("run of row", "FAILED"))
    assert hooks._run_id == "parent"


@pytest.mark.parametrize("call", ["create_run", "log_batch", "set_terminated"])
def test_a_tracking_server_that_fails_is_left_alone_and_the_work_goes_on(
    call: str, caplog: pytest.LogCaptureFixture
) -> None:
    client = Recorder(failing=call)
    hooks = tracking(client)
    done = False
    with caplog.at_level(logging.WARNING), events.part("row", {"a": 1}):
        events.emit("scores", 1, {"own": 0.5})
        done = True
    stop(hooks)
    assert done
    assert client.calls[-1][0] == call
    assert caplog.text.count("no longer tracked") == 1


@pytest.mark.filterwarnings("ignore:.*noload:DeprecationWarning")  # MLflow's, of its own query
def test_runs_of_a_killed_process_on_this_folder_are_marked_and_no_others(tmp_path: Path) -> None:
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.create_experiment("gecko", artifact_location=tmp_path.as_uri())

    def run(folder: str | None) -> str:
        tags = None if folder is None else {"data_folder": folder}
        return str(client.create_run(experiment, tags=tags).info.run_id)

    folders = ["here:/data", "here:/data", "there:/data", None, "here:/data"]
    runs = [run(folder) for folder in folders]
    client.set_terminated(runs[-1], "FINISHED")
    end_lost_runs(client, experiment, "here:/data")
    found = [client.get_run(one).info.status for one in runs]
    assert found == ["KILLED", "KILLED", "RUNNING", "RUNNING", "FINISHED"]
    assert "without a word" in client.get_run(runs[0]).data.tags["error"]
