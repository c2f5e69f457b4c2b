"""One MLflow run for each ``kedro run``. Metrics are JSON files first and MLflow entries second."""

import logging
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.pipeline.node import Node

from gecko_kedro.base import events
from gecko_kedro.hooks.ledger import LEDGER, read_ledger

logger = logging.getLogger(__name__)
_LONGEST_PARAM = 6000
_FOLDER = "data_folder"


class TrackingHooks:
    """Logs parameters, live step metrics, stage metrics, artifacts and the model.

    A catalog entry says what it is with ``metadata: {mlflow: metrics | artifact | model}``.
    MLflow is optional (``pip install "gecko-kedro[tracking]"``). The store is SQLite in the
    project's folder, whatever the working directory; MLFLOW_TRACKING_URI overrides it.
    """

    def __init__(self) -> None:
        self._root = Path()
        self._folder = ""  # of the data, as a tag names it
        self._parameters: Mapping[str, Any] = {}
        self._settings: Mapping[str, Any] = {}
        self._catalog: Any = None
        self._client: Any = None
        self._run_id = ""
        self._experiment_id = ""
        self._stop_listening: list[Callable[[], None]] = []

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Learn the settings of conf/base/mlflow.yml."""
        self._root = Path(context.project_path).resolve()
        data = self._root / context.config_loader["globals"]["data"]
        self._folder = f"{socket.gethostname()}:{data.resolve()}"
        self._parameters = context.config_loader["parameters"]
        self._settings = context.config_loader["mlflow"]

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], catalog: Any) -> None:
        """Start the run and log parameters, git revision and versions."""
        if not self._settings["enabled"]:
            return
        if find_spec("mlflow") is None:
            logger.warning(
                "No MLflow, so this run is not tracked: pip install 'gecko-kedro[tracking]'"
            )
            return
        import mlflow

        self._catalog = catalog
        experiment = self._experiment(mlflow)
        end_lost_runs(mlflow.MlflowClient(), experiment, self._folder)
        run = mlflow.start_run(
            experiment_id=experiment,
            tags={_FOLDER: self._folder},
            run_name="+".join(run_params.get("pipeline_names") or ["__default__"]),
            log_system_metrics=False,
        )
        self._client, self._run_id = mlflow.MlflowClient(), run.info.run_id
        self._experiment_id = experiment
        mlflow.log_params(
            {key: str(value)[:_LONGEST_PARAM] for key, value in _flatten(self._parameters)}
        )
        ledger = read_ledger(catalog.get(LEDGER).path)["run"]
        versions = {f"version.{name}": number for name, number in ledger["versions"].items()}
        mlflow.set_tags(versions | {"git_revision": _git_revision(self._root)})
        self._stop_listening = [
            events.subscribe(self._on_event),
            events.subscribe_parts(self._child_run),
        ]

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any, node: Node) -> None:
        """Log what the catalog marks for MLflow, and the node's cost so far."""
        if self._client is None:
            return
        try:
            self._log_dataset(dataset_name, data, node)
        except Exception as error:  # a tracking server that is gone must not cost the run
            self._give_up(error)

    def _log_dataset(self, dataset_name: str, data: Any, node: Node) -> None:
        cost = read_ledger(self._catalog.get(LEDGER).path)["nodes"][node.name]
        self._log_metrics(f"cost.{node.name}", cost)
        dataset = self._catalog.get(dataset_name)
        kind = (getattr(dataset, "metadata", None) or {}).get("mlflow")
        name = dataset_name.rpartition(".")[2].partition("@")[0]  # without stage and reading
        if kind == "metrics":
            self._log_metrics(name, dict(_numbers(data)))
        elif kind == "artifact":
            self._client.log_artifact(self._run_id, str(_path(dataset)))
        elif kind == "model":
            self._log_model(data, name)

    @hook_impl
    def after_pipeline_run(self) -> None:
        """End the run."""
        self._end("FINISHED")

    @hook_impl
    def on_pipeline_error(self, error: Exception) -> None:
        """End the run as failed and keep why."""
        if self._client is not None:
            self._client.set_tag(self._run_id, "error", repr(error)[:500])
        self._end("FAILED")

    def _experiment(self, mlflow: Any) -> str:
        uri = self._settings["tracking_uri"].replace("{project}", str(self._root))
        mlflow.set_tracking_uri(os.environ.get("MLFLOW_TRACKING_URI") or uri)
        name = self._settings["experiment"]
        existing = mlflow.get_experiment_by_name(name)
        if existing is not None:
            return str(existing.experiment_id)
        # Without a location of its own, artifacts go below whatever the working directory is.
        location = (self._root / "mlartifacts").as_uri()
        return str(mlflow.create_experiment(name, artifact_location=location))

    def _on_event(self, name: str, step: int, values: Mapping[str, float]) -> None:
        if self._client is None:
            return
        try:
            self._log_metrics(name, values, step)
        except Exception as error:  # as above
            self._give_up(error)

    @contextmanager
    def _child_run(self, name: str, parameters: Mapping[str, Any]) -> Iterator[None]:
        """A nested run: what is reported inside goes there, and not to the pipeline's own run."""
        parent = self._run_id
        self._start_child(name, parameters)
        status = "FAILED"
        try:
            yield
            status = "FINISHED"
        finally:
            if self._client is not None:
                self._end_child(status)
            self._run_id = parent

    def _start_child(self, name: str, parameters: Mapping[str, Any]) -> None:
        if self._client is None:
            return
        from mlflow.entities import Param
        from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

        try:
            child = self._client.create_run(
                self._experiment_id,
                run_name=name,
                tags={MLFLOW_PARENT_RUN_ID: self._run_id, _FOLDER: self._folder},
            )
            self._run_id = child.info.run_id
            params = [Param(k, str(v)[:_LONGEST_PARAM]) for k, v in _flatten(parameters)]
            self._client.log_batch(self._run_id, params=params)
        except Exception as error:  # as above
            self._give_up(error)

    def _end_child(self, status: str) -> None:
        try:
            self._client.set_terminated(self._run_id, status)
        except Exception as error:  # as above
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        logger.warning("MLflow failed, this run is no longer tracked: %r", error)
        self._client = None

    def _log_metrics(self, prefix: str, values: Mapping[str, Any], step: int = 0) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [
            Metric(f"{prefix}.{key}", float(value), now, step) for key, value in values.items()
        ]
        self._client.log_batch(self._run_id, metrics=metrics)

    def _log_model(self, model: Any, name: str) -> None:
        import mlflow
        from sentence_transformers import __version__ as sentence_transformers_version
        from torch import __version__ as torch_version

        mlflow.sentence_transformers.log_model(
            model,
            name=name,
            signature=_signature(model),
            input_example=[f"{model.prompts.get('query', '')}how to read a file"],
            pip_requirements=[
                f"sentence-transformers=={sentence_transformers_version}",
                f"torch=={torch_version.split('+')[0]}",
            ],
        )

    def _end(self, status: str) -> None:
        while self._stop_listening:
            self._stop_listening.pop()()
        if self._client is not None:
            import mlflow

            mlflow.end_run(status)
            self._client = None


def end_lost_runs(client: Any, experiment: str, folder: str) -> None:
    """End as killed what MLflow takes for running on a data folder whose lock this process holds.

    A process that is killed cannot say so. ``folder`` is the value of the tag ``data_folder``.
    """
    running = client.search_runs([experiment], filter_string="attributes.status = 'RUNNING'")
    for run in running:
        if run.data.tags.get(_FOLDER) == folder:
            client.set_tag(run.info.run_id, "error", "its process ended without a word")
            client.set_terminated(run.info.run_id, "KILLED")
            logger.info("MLflow: run %s was killed; it is marked so", run.info.run_id)


def _signature(model: Any) -> Any:
    """Texts in, vectors out, and the arguments of ``encode`` that a caller of the server may give.

    Without them MLflow drops ``{"params": {"prompt_name": "query"}}`` and answers with the vector
    of the bare text.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec

    width = model.get_embedding_dimension()
    arguments = [
        ParamSpec("prompt_name", "string", None),
        ParamSpec("truncate_dim", "long", None),
        ParamSpec("normalize_embeddings", "boolean", False),
    ]
    return ModelSignature(
        inputs=Schema([ColSpec("string")]),
        outputs=Schema([TensorSpec(np.dtype("float32"), (-1, width))]),
        params=ParamSchema(arguments),
    )


def _path(dataset: Any) -> Path:
    return Path(str(getattr(dataset, "path", None) or dataset._filepath))


def _flatten(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flatten(inner, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, value


def _numbers(value: Any) -> Iterator[tuple[str, float]]:
    for key, inner in _flatten(value):
        if isinstance(inner, int | float) and not isinstance(inner, bool):
            yield key, float(inner)


def _git_revision(root: Path) -> str:
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=root, capture_output=True, text=True, check=True, timeout=10,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return found.stdout.strip()
