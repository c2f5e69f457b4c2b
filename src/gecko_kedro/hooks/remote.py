"""A teacher behind a URL: its key, and a first word with it before hours of other work."""

import os
from pathlib import Path
from typing import Any

import yaml
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.pipeline import Pipeline

from gecko_kedro.params import Parameters, check_parameters

CREDENTIALS = Path("local") / "credentials.yml"


class RemoteTeacherHooks:
    """Does nothing unless ``teacher.backend`` is http.

    The key comes from the environment, else from ``teacher: {api_key: ...}`` in
    conf/local/credentials.yml, whatever ``--env`` says (Kedro itself reads conf/local only without
    one). It goes to this process's environment and nowhere else.
    """

    _parameters: Parameters | None = None

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Find the key."""
        parameters = check_parameters(context.config_loader["parameters"])
        if parameters.teacher.backend != "http":
            return
        self._parameters = parameters
        name = parameters.teacher.http.api_key_env
        key = _local_key(Path(context.config_loader.conf_source) / CREDENTIALS)
        if name is not None and key is not None:
            os.environ.setdefault(name, key)

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: Any
    ) -> None:
        """Try each call that the run will need; stop here where one cannot be had."""
        if self._parameters is None or not self._parameters.teacher.http.check_at_start:
            return
        from gecko_kedro.fret.prepared import ranker_calls
        from gecko_kedro.teacher.check import Call, check_teacher
        from gecko_kedro.teacher.http.teacher import HttpTeacher

        scores = ranker_calls(self._parameters.relabel.rankers)
        asked: dict[str, list[Call]] = {
            "synthesize_teacher": ["generate"],
            "relabel_teacher": scores,
            "label_quality_teacher": scores,
            "estimate_teacher": ["generate", *scores],
        }
        calls: list[Call] = []
        for node in pipeline.nodes:
            if run_params.get("only_missing_outputs") and all(map(catalog.exists, node.outputs)):
                continue
            for name in node.inputs:  # synthesize.synthesize_teacher
                calls += asked.get(name.rpartition(".")[2], [])
        if calls:
            check_teacher(HttpTeacher(self._parameters.teacher.http), list(dict.fromkeys(calls)))


def _local_key(file: Path) -> str | None:
    if not file.is_file():
        return None
    content = yaml.safe_load(file.read_text("utf-8")) or {}
    key = (content.get("teacher") or {}).get("api_key")
    return None if key is None else str(key)
