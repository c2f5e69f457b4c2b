"""One MLflow run for each ``kedro run``. Metrics are JSON files first and MLflow entries second."""

import atexit
import logging
import os
import re
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kedro.config import MissingConfigException
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.pipeline.node import Node

from gecko_kedro.base import events
from gecko_kedro.base.errors import InputError
from gecko_kedro.hooks.ledger import LEDGER, read_ledger
from gecko_kedro.hooks.mlflow_run import FOLDER_TAG, MlflowRun

logger = logging.getLogger(__name__)
_LOCAL_STORE = "sqlite:///{project}/mlflow.db"


class TrackingHooks:
    """Logs parameters, live step metrics, stage metrics, artifacts and the model.

    A catalog entry says what it is with ``metadata: {mlflow: metrics | artifact | model}``.
    MLflow is optional (``pip install "gecko-kedro[tracking]"``). The store is SQLite in the
    project's folder, whatever the working directory; MLFLOW_TRACKING_URI overrides it. Whatever
    fails in MLflow is one warning, and the run goes on without it.
    """

    def __init__(self) -> None:
        self._root = Path()
        self._folder = ""  # of the data, as a tag names it
        self._parameters: Mapping[str, Any] = {}
        self._settings: Mapping[str, Any] = {}
        self._catalog: Any = None
        self._run: MlflowRun | None = None
        self._stop_listening: list[Callable[[], None]] = []

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Learn the settings of conf/base/mlflow.yml; without that file nothing is tracked."""
        self._root = Path(context.project_path).resolve()
        data = self._root / context.config_loader["globals"]["data"]
        self._folder = f"{socket.gethostname()}:{data.resolve()}"
        self._parameters = context.config_loader["parameters"]
        try:
            self._settings = context.config_loader["mlflow"]
        except MissingConfigException:
            self._settings = {"enabled": False}

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], catalog: Any) -> None:
        """Start the run and log parameters, git revision and versions."""
        self._end("KILLED")  # in a notebook, of a run that was interrupted
        if not self._settings.get("enabled", True):
            return
        if find_spec("mlflow") is None:
            logger.warning(
                "No MLflow, so this run is not tracked: pip install 'gecko-kedro[tracking]'"
            )
            return
        self._catalog = catalog
        name = "+".join(run_params.get("pipeline_names") or ["__default__"])
        try:
            self._run = self._start(name)
        except Exception as error:  # whatever is wrong with the store must not cost the run
            self._give_up(error)
            return
        atexit.register(self._end, "KILLED")  # Ctrl-C calls no hook
        self._stop_listening = [
            events.subscribe(self._on_event),
            events.subscribe_parts(self._part),
        ]
        self._safely(lambda run: run.log_params(self._parameters))
        self._safely(lambda run: run.set_tags(self._versions()))

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any, node: Node) -> None:
        """Log what the catalog marks for MLflow, and the node's cost so far."""
        self._safely(lambda run: self._log_dataset(run, dataset_name, data, node))

    @hook_impl
    def after_pipeline_run(self) -> None:
        """End the run."""
        self._end("FINISHED")

    @hook_impl
    def on_pipeline_error(self, error: Exception) -> None:
        """End the run as failed and keep why."""
        self._safely(lambda run: run.set_tags({"error": repr(error)[:500]}))
        self._end("FAILED")

    def _start(self, name: str) -> MlflowRun:
        uri = str(self._settings.get("tracking_uri") or _LOCAL_STORE)
        return MlflowRun(
            os.environ.get("MLFLOW_TRACKING_URI") or uri.replace("{project}", str(self._root)),
            str(self._settings.get("experiment") or "gecko"),
            name=name,
            tags={FOLDER_TAG: self._folder},
            artifacts=self._root / "mlartifacts",
        )

    def _versions(self) -> dict[str, str]:
        ledger = read_ledger(self._catalog.get(LEDGER).path).get("run", {})
        versions = {f"version.{name}": number for name, number in ledger["versions"].items()}
        return versions | {"git_revision": _git_revision(self._root)}

    def _log_dataset(self, run: MlflowRun, name: str, data: Any, node: Node) -> None:
        cost = read_ledger(self._catalog.get(LEDGER).path)["nodes"][node.name]
        run.log_metrics(f"cost.{node.name}", cost)
        dataset = self._catalog.get(name)
        name = name.rpartition(".")[2].partition("@")[0]  # without stage and reading
        kind = (getattr(dataset, "metadata", None) or {}).get("mlflow")
        if kind == "metrics":
            run.log_metrics(name, data)
        elif kind == "artifact":
            run.log_artifact(Path(str(getattr(dataset, "path", None) or dataset._filepath)))
        elif kind == "model":
            run.log_model(data, name)

    def _on_event(self, name: str, step: int, values: Mapping[str, float]) -> None:
        self._safely(lambda run: run.log_metrics(name, values, step))

    @contextmanager
    def _part(self, name: str, parameters: Mapping[str, Any]) -> Iterator[None]:
        """A nested run: what is reported inside goes there, and not to the pipeline's own run."""
        self._safely(lambda run: run.begin_part(name))
        self._safely(lambda run: run.log_params(parameters))
        status = "FAILED"
        try:
            yield
            status = "FINISHED"
        finally:
            self._safely(lambda run: run.end_part(status))

    def _safely(self, action: Callable[[MlflowRun], None]) -> None:
        """``action`` on the run, if there is one; its first error ends only the tracking."""
        if self._run is None:
            return
        try:
            action(self._run)
        except Exception as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        advice = (
            "" if isinstance(error, InputError)
            else "Look at tracking_uri in conf/base/mlflow.yml and MLFLOW_TRACKING_URI; "
            "`enabled: false` in that file switches tracking off."
        )  # fmt: skip
        words = re.sub(r"//[^/@\s]+@", "//...@", f"{error}")  # without a password
        logger.warning(
            "MLflow failed, so this run is no longer tracked (its metrics are files in "
            "08_reporting all the same): %s. %s", words.rstrip(". \n"), advice,
        )  # fmt: skip
        self._run = None

    def _end(self, status: str) -> None:
        while self._stop_listening:
            self._stop_listening.pop()()
        atexit.unregister(self._end)
        self._safely(lambda run: run.end(status))
        self._run = None


def _git_revision(root: Path) -> str:
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=root, capture_output=True, text=True, check=True, timeout=10,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return found.stdout.strip()
