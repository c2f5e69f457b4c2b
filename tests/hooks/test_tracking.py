"""What goes to MLflow, and that nothing that is wrong with MLflow costs a run or its start."""

import json
import logging
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import pytest
from kedro.config import MissingConfigException
from mlflow import MlflowClient

from gecko_kedro.base import events
from gecko_kedro.hooks.mlflow_run import accepted_names, end_lost_runs
from gecko_kedro.hooks.tracking import TrackingHooks

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*noload:DeprecationWarning",  # MLflow's, of its own query
    "ignore::FutureWarning:mlflow",
)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    yield
    mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # else later tests inherit it


class Loader(dict[str, Any]):
    """A config loader, as far as the hook asks it."""

    def __missing__(self, name: str) -> Any:
        raise MissingConfigException(name)


class Project:
    """A folder with a ledger, and the hooks as Kedro calls them."""

    def __init__(self, folder: Path, parameters: dict[str, Any] | None = None, **settings: Any):
        self.uri = str(settings.get("tracking_uri", f"sqlite:///{folder}/mlflow.db"))
        self.ledger = folder / "ledger.json"
        self.ledger.write_text(json.dumps({"run": {"versions": {"kedro": "1.7"}}}))
        self.hooks = TrackingHooks()
        loader = Loader(
            globals={"data": "data"}, parameters=parameters or {"mine": {"n": 20}}, mlflow=settings
        )
        context: Any = SimpleNamespace(project_path=folder, config_loader=loader)
        self.hooks.after_context_created(context)

    def start(self) -> None:
        catalog = SimpleNamespace(get=lambda _: SimpleNamespace(path=self.ledger))
        self.hooks.before_pipeline_run({"pipeline_names": ["fret"]}, catalog)

    def runs(self) -> list[Any]:
        client = MlflowClient(self.uri)
        found = client.get_experiment_by_name("gecko")
        assert found is not None
        return list(client.search_runs([found.experiment_id], order_by=["start_time ASC"]))


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name.startswith("gecko_kedro")]


def test_parameters_versions_and_live_metrics_are_those_of_the_run(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.start()
    events.emit("finetune", 3, {"loss": 0.5, "note": "no number"})  # type: ignore[dict-item]
    project.hooks.after_pipeline_run()
    (run,) = project.runs()
    assert run.data.params == {"mine.n": "20"}
    assert run.data.metrics == {"finetune.loss": 0.5}
    assert run.data.tags["version.kedro"] == "1.7"
    assert (run.info.run_name, run.info.status) == ("fret", "FINISHED")


def test_what_is_reported_in_a_part_goes_to_a_run_of_its_own(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.start()
    with events.part("row", {"relabel": {"negative": "none"}}):
        events.emit("scores", 1, {"own": 0.5})
    with pytest.raises(ValueError, match="lost"), events.part("other", {}):
        raise ValueError("lost")
    events.emit("cost", 0, {"seconds": 2.0})
    project.hooks.on_pipeline_error(ValueError("lost"))
    whole, row, other = project.runs()
    assert whole.data.metrics == {"cost.seconds": 2.0}
    assert row.data.metrics == {"scores.own": 0.5}
    assert row.data.params == {"relabel.negative": "none"}
    assert row.data.tags["mlflow.parentRunId"] == whole.info.run_id
    assert [run.info.status for run in (whole, row, other)] == ["FAILED", "FINISHED", "FAILED"]
    assert "lost" in whole.data.tags["error"]


def test_names_that_mlflow_refuses_are_changed_and_values_cut(tmp_path: Path) -> None:
    odd = {"lr=1e-4": 1, "a//b": 2, "/c": 3, "x" * 300: 4, "..": 5, "Länge (mm)": 6, "": "v" * 9000}
    project = Project(tmp_path, {"sources": odd})
    project.start()
    events.emit("scores", 1, {"nDCG@10": 0.5})
    project.hooks.after_pipeline_run()
    (run,) = project.runs()
    params = run.data.params
    assert params["sources.lr_1e-4"] == "1"
    assert params["sources.Länge _mm_"] == "6"
    assert len(params) == len(odd)
    assert max(len(value) for value in params.values()) == 6000
    assert run.data.metrics == {"scores.nDCG_10": 0.5}


def test_no_two_names_become_one() -> None:
    assert accepted_names({"a=b": 1, "a:b": 2, "a_b": 3}) == {"a_b": 1, "a_b_2": 2, "a_b_3": 3}


def test_an_experiment_deleted_in_the_ui_is_one_warning_that_says_how_to_restore_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    project = Project(tmp_path)
    client = MlflowClient(project.uri)
    made = client.create_experiment("gecko")
    client.delete_experiment(made)
    project.start()
    events.emit("finetune", 1, {"loss": 0.5})
    project.hooks.after_pipeline_run()
    (warning,) = warnings_of(caplog)
    assert f"mlflow experiments restore --experiment-id {made}" in warning


def test_a_tracking_server_that_is_down_is_one_warning_and_the_work_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    project = Project(tmp_path, tracking_uri=f"http://someone:secret@127.0.0.1:{port}")
    project.start()
    done = False
    with events.part("row", {"a": 1}):
        events.emit("scores", 1, {"own": 0.5})
        done = True
    project.hooks.after_pipeline_run()
    assert done
    (warning,) = warnings_of(caplog)
    assert "no longer tracked" in warning
    assert "MLFLOW_TRACKING_URI" in warning
    assert "secret" not in warning


@pytest.mark.parametrize("uri", ["file:{folder}/mlruns", "{folder}/mlruns", "nonsense://x", "ftp:"])
def test_a_store_that_mlflow_refuses_is_one_warning_or_works(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, uri: str
) -> None:
    project = Project(tmp_path, tracking_uri=uri.replace("{folder}", str(tmp_path)))
    project.start()
    project.hooks.after_pipeline_run()
    assert len(warnings_of(caplog)) <= 1


@pytest.mark.parametrize("place", ["mlflow.db", "nowhere/mlflow.db"])
def test_a_damaged_store_or_a_folder_that_takes_none_is_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, place: str
) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"this is no database at all" * 100)
    project = Project(tmp_path, tracking_uri=f"sqlite:///{tmp_path / place}")
    project.start()
    project.hooks.after_pipeline_run()
    (warning,) = warnings_of(caplog)
    assert place in warning
    assert "MLFLOW_TRACKING_URI" in warning


def test_a_run_that_is_active_in_the_notebook_stays_untouched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project(tmp_path)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/other.db")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")  # MLflow sets it along
    own = mlflow.start_run()
    try:
        project.start()
        events.emit("finetune", 1, {"loss": 0.5})
        project.hooks.after_pipeline_run()
        assert mlflow.active_run().info.run_id == own.info.run_id
        assert mlflow.get_tracking_uri().endswith("other.db")
        assert MlflowClient().get_run(own.info.run_id).data.metrics == {}
    finally:
        mlflow.end_run()
    assert [run.info.status for run in project.runs()] == ["FINISHED"]


def test_a_run_that_ctrl_c_left_open_is_ended_by_the_next_one(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.start()  # Ctrl-C calls no hook
    project.start()
    events.emit("finetune", 1, {"loss": 0.5})
    project.hooks.after_pipeline_run()
    first, second = project.runs()
    assert [first.info.status, second.info.status] == ["KILLED", "FINISHED"]
    assert (first.data.metrics, second.data.metrics) == ({}, {"finetune.loss": 0.5})


def test_without_its_file_nothing_is_tracked(tmp_path: Path) -> None:
    hooks = TrackingHooks()
    loader = Loader(globals={"data": "data"}, parameters={})
    hooks.after_context_created(SimpleNamespace(project_path=tmp_path, config_loader=loader))  # type: ignore[arg-type]
    hooks.before_pipeline_run({}, None)
    hooks.after_pipeline_run()
    assert not (tmp_path / "mlflow.db").exists()


class _Server(BaseHTTPRequestHandler):
    """As much of a tracking server as creates an experiment; it notes what it was asked."""

    asked: list[tuple[str, Any]]

    def do_GET(self) -> None:
        self._answer(404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "none yet"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append((self.path, body))
        if self.path.endswith("experiments/create"):
            self._answer(200, {"experiment_id": "7"})
        else:
            self._answer(400, {"error_code": "INVALID_PARAMETER_VALUE", "message": "no runs here"})

    def _answer(self, status: int, content: dict[str, str]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def log_message(self, *_: object) -> None:
        pass


def test_artifacts_go_where_a_shared_server_says(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _Server.asked = []
    with HTTPServer(("127.0.0.1", 0), _Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        Project(tmp_path, tracking_uri=f"http://127.0.0.1:{server.server_port}").start()
        server.shutdown()
    (created,) = [body for path, body in _Server.asked if path.endswith("experiments/create")]
    assert "artifact_location" not in created
    assert len(warnings_of(caplog)) == 1


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


def test_a_log_line_of_a_failure_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    project = Project(tmp_path)
    project.start()
    project.hooks._run._client = None  # type: ignore[union-attr]
    with caplog.at_level(logging.WARNING):
        events.emit("finetune", 1, {"loss": 0.5})
        events.emit("finetune", 2, {"loss": 0.5})
    project.hooks.after_pipeline_run()
    assert len(warnings_of(caplog)) == 1
