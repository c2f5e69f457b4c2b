"""Stops a run before any work when its parameters are wrong or its finished outputs are stale."""

from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from gecko_kedro.base.errors import InputError
from gecko_kedro.hooks.fingerprints import Change, Fingerprints
from gecko_kedro.params import check_parameters
from gecko_kedro.pipeline_registry import STAGES

_MOST_SHOWN = 5


class GuardHooks:
    """Checks parameters and inputs before a run and keeps the fingerprints of what it makes."""

    def __init__(self) -> None:
        self._fingerprints: Fingerprints | None = None

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Check every parameter, of all pipelines, before the catalog or a node is touched."""
        check_parameters(context.config_loader["parameters"])

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: Any
    ) -> None:
        """Refuse missing inputs, and with ``--only-missing-outputs`` stale outputs."""
        _refuse_missing_inputs(pipeline, catalog)
        self._fingerprints = Fingerprints(pipeline, catalog)
        changes = self._fingerprints.changes()
        self._fingerprints.announce()
        if run_params.get("only_missing_outputs") and changes:
            raise _stale(changes)

    @hook_impl
    def before_dataset_loaded(self, dataset_name: str) -> None:
        """Refuse a file that a failing disk has changed."""
        if self._fingerprints is not None:
            self._fingerprints.refuse_damaged(dataset_name)

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any, node: Node) -> None:
        """Note what the dataset was made from."""
        if self._fingerprints is not None:
            self._fingerprints.record(dataset_name)


def _refuse_missing_inputs(pipeline: Pipeline, catalog: Any) -> None:
    for name in sorted(pipeline.inputs()):
        if name.startswith("params:") or name == "parameters":
            continue
        dataset = catalog.get(name, fallback_to_runtime_pattern=True)
        location = getattr(dataset, "path", None)
        if location is None or getattr(dataset, "optional", False) or dataset.exists():
            continue
        raise InputError(
            f"dataset {name!r} ({location})",
            expected="to be there before this pipeline runs",
            got="no such file",
            fix=f"Run what makes it ({_maker(name)}), or put your own there.",
        )


def _maker(name: str) -> str:
    from kedro.framework.project import pipelines

    wanted = name.partition("@")[0]  # passages@scan and passages@table are one file
    for stage in STAGES:
        if wanted in {made.partition("@")[0] for made in pipelines[stage].all_outputs()}:
            return f"kedro run --pipelines {stage}"
    return "no pipeline here makes it"


def _stale(changes: list[Change]) -> InputError:
    # A dataset that differs only because an input of it differs is a consequence, not a cause.
    causes = [c for c in changes if any(": " in d for d in c.differences)] or changes
    shown = [f"{c.dataset} ({'; '.join(c.differences[:_MOST_SHOWN])})" for c in causes]
    return InputError(
        "--only-missing-outputs",
        expected="outputs that were made from today's parameters and inputs",
        got="no such thing: " + ", ".join(shown[:_MOST_SHOWN]),
        fix=(
            "Run `kedro run` without --only-missing-outputs to make all anew (finished shards, "
            f"checkpoints and LLM replies that still hold are used), start at the first stale "
            f"node with --from-nodes, or set the parameter back. First stale: {causes[0].location}"
        ),
    )
