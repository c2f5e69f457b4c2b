"""One MLflow run: what is sent to the tracking store, in the form that the store takes."""

import os
import posixpath
import re
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from gecko_kedro.base.errors import InputError

FOLDER_TAG = "data_folder"
_LONGEST_PARAM = 6000
_LONGEST_NAME = 250
# A store that does not answer must not hold up a run: MLflow's own values add up to many minutes.
_PATIENCE = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}


class MlflowRun:
    """A run of ``experiment`` in the store at ``uri``; every method raises what MLflow raises.

    It goes through MLflow's client and not its fluent interface, whose one active run for a whole
    process may belong to somebody else, such as a notebook.

    artifacts: where those of a new experiment go if the store is a local database. A server decides
    for itself, since its clients have other disks.
    """

    def __init__(
        self, uri: str, experiment: str, *, name: str, tags: Mapping[str, str], artifacts: Path
    ) -> None:
        for variable, value in _PATIENCE.items():
            os.environ.setdefault(variable, value)
        from mlflow import MlflowClient

        if uri.startswith("sqlite:///"):
            refuse_unusable(Path(uri.removeprefix("sqlite:///")))
        self.uri = uri
        self._client = MlflowClient(uri)
        self._experiment = experiment_id(self._client, experiment, artifacts=artifacts)
        end_lost_runs(self._client, self._experiment, tags[FOLDER_TAG])
        self._tags = dict(tags)
        self._runs = [self._create(name, self._tags)]

    @property
    def run_id(self) -> str:
        """The run that is written to: the innermost nested one."""
        return self._runs[-1]

    def begin_part(self, name: str) -> None:
        """Open a nested run, which gets everything until ``end_part``."""
        from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

        self._runs.append(self._create(name, self._tags | {MLFLOW_PARENT_RUN_ID: self.run_id}))

    def end_part(self, status: str) -> None:
        """Close the nested run."""
        self._client.set_terminated(self._runs.pop(), status)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Tags of the run."""
        for name, value in tags.items():
            self._client.set_tag(self.run_id, name, value)

    def log_params(self, parameters: Mapping[str, Any]) -> None:
        """Nested parameters by dotted names, which are changed where MLflow would refuse them."""
        from mlflow.entities import Param

        named = accepted_names(dict(flatten(parameters))).items()
        params = [Param(name, str(value)[:_LONGEST_PARAM]) for name, value in named]
        self._client.log_batch(self.run_id, params=params)

    def log_metrics(self, prefix: str, values: Mapping[str, Any], step: int = 0) -> None:
        """Each number of ``values``, nested ones by dotted names; anything else is passed over."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        named = accepted_names({f"{prefix}.{key}": value for key, value in numbers(values)})
        metrics = [Metric(name, value, now, step) for name, value in named.items()]
        self._client.log_batch(self.run_id, metrics=metrics)

    def log_artifact(self, file: Path) -> None:
        """A copy of ``file``."""
        self._client.log_artifact(self.run_id, str(file))

    def log_model(self, model: Any, name: str) -> None:
        """A SentenceTransformer as a model that ``mlflow models serve`` takes."""
        import mlflow
        from sentence_transformers import __version__ as sentence_transformers_version
        from torch import __version__ as torch_version

        before = os.environ.get("MLFLOW_TRACKING_URI")
        mlflow.set_tracking_uri(self.uri)  # models have no other interface than the fluent one
        try:
            with mlflow.start_run(run_id=self.run_id, nested=True):
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
        finally:
            mlflow.set_tracking_uri(before)  # type: ignore[arg-type]  # None: as if never set
        self._client.update_run(self.run_id, status="RUNNING")  # the block has ended it

    def end(self, status: str) -> None:
        """End the run, and what is open of its parts."""
        while self._runs:
            self._client.set_terminated(self._runs.pop(), status)

    def _create(self, name: str, tags: Mapping[str, str]) -> str:
        run = self._client.create_run(self._experiment, run_name=name, tags=dict(tags))
        return str(run.info.run_id)


def refuse_unusable(database: Path) -> None:
    """InputError where SQLite cannot write to ``database``, which need not exist.

    MLflow itself would try for two minutes.
    """
    try:
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.rollback()
    except sqlite3.Error as error:
        raise InputError(
            f"MLflow's database {database}",
            expected="one that can be written to",
            got=str(error),
            fix="Name a store elsewhere in MLFLOW_TRACKING_URI.",
        ) from error


def experiment_id(client: Any, name: str, *, artifacts: Path) -> str:
    """The id of the experiment ``name``, which is made where there is none."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        local = client.tracking_uri.startswith(("sqlite:", "file:", "/", "."))
        location = artifacts.as_uri() if local else None
        try:
            return str(client.create_experiment(name, artifact_location=location))
        except MlflowException:  # another client may have been first
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        raise InputError(
            f"MLflow experiment {name!r}",
            expected="an experiment that takes runs",
            got="a deleted one",
            fix=f"Restore it (mlflow experiments restore --experiment-id {found.experiment_id}) "
            "or name another one as `experiment` in conf/base/mlflow.yml.",
        )
    return str(found.experiment_id)


def end_lost_runs(client: Any, experiment: str, folder: str) -> None:
    """End as killed what MLflow takes for running on a data folder whose lock this process holds.

    A process that is killed cannot say so. ``folder`` is the value of the tag ``data_folder``.
    """
    running = client.search_runs([experiment], filter_string="attributes.status = 'RUNNING'")
    for run in running:
        if run.data.tags.get(FOLDER_TAG) == folder:
            client.set_tag(run.info.run_id, "error", "its process ended without a word")
            client.set_terminated(run.info.run_id, "KILLED")


def accepted_names(values: Mapping[str, Any]) -> dict[str, Any]:
    """``values`` under names that MLflow takes, none of which stands for two.

    It takes letters, digits and ``_-. /``, at most 250 of them, and nothing that is no plain path.
    """
    named: dict[str, Any] = {}
    for name, value in values.items():
        plain = re.sub(r"[^\w.\- /]", "_", name)
        if plain.startswith("/") or posixpath.normpath(plain) != plain:
            plain = re.sub(r"\.{2,}|/", "_", plain).strip("./") or "_"
        free, number = plain[:_LONGEST_NAME], 2
        while free in named:
            free, number = f"{plain[: _LONGEST_NAME - 4]}_{number}", number + 1
        named[free] = value
    return named


def flatten(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted name and value of each leaf of nested mappings."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from flatten(inner, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, value


def numbers(values: Any) -> Iterator[tuple[str, float]]:
    """Dotted name and value of each number in nested mappings."""
    for key, inner in flatten(values):
        if isinstance(inner, int | float | np.number) and not isinstance(inner, bool):
            yield key, float(inner)


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
