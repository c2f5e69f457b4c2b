"""Stops a run before any work when its parameters are wrong, and finds what is to be made anew."""

import logging
from pathlib import Path
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import MemoryDataset
from kedro.pipeline import Pipeline

from gecko_kedro.base.digests import Digests
from gecko_kedro.base.errors import InputError, Words
from gecko_kedro.catalog import ProjectCatalog
from gecko_kedro.hooks.fingerprints import Fingerprints
from gecko_kedro.hooks.ledger import LEDGER, read_ledger
from gecko_kedro.hooks.lock import data_folder
from gecko_kedro.hooks.plan import Plan, plan_run
from gecko_kedro.params import check_parameters
from gecko_kedro.pipeline_registry import STAGES

logger = logging.getLogger(__name__)
_DIGESTS = ".digests.jsonl"  # in the data folder


class CheckHooks:
    """Checks parameters and inputs before a run and keeps the fingerprints of what it makes."""

    _folder = Path()
    _fingerprints: Fingerprints | None = None

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Check every parameter, of all pipelines, before the catalog or a node is touched."""
        check_parameters(context.config_loader["parameters"])
        self._folder = data_folder(context)

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: Any
    ) -> None:
        """Refuse missing inputs; with ``--only-missing-outputs``, have stale outputs made anew."""
        only_missing = bool(run_params.get("only_missing_outputs"))
        self._fingerprints, plan, stale = prepare(pipeline, catalog, self._folder, only_missing)
        self._fingerprints.digests.save()
        if only_missing and stale:
            _declare_stale(catalog, stale)
            logger.info("%s", plan.summary())

    @hook_impl
    def before_dataset_loaded(self, dataset_name: str) -> None:
        """Refuse a file that a failing disk has changed."""
        if self._fingerprints is not None:
            self._fingerprints.refuse_damaged(dataset_name)

    @hook_impl
    def before_dataset_saved(self, dataset_name: str) -> None:
        """Note that the dataset is being made."""
        if self._fingerprints is not None:
            self._fingerprints.begin(dataset_name)

    @hook_impl
    def after_dataset_saved(self, dataset_name: str) -> None:
        """Note what the dataset was made from."""
        if self._fingerprints is not None:
            self._fingerprints.record(dataset_name)


def prepare(
    pipeline: Pipeline, catalog: Any, data: Path, only_missing: bool
) -> tuple[Fingerprints, Plan, list[str]]:
    """The fingerprints of a run, its plan, and its stale outputs. Nothing is written.

    InputError where an input is missing, or where an output that was put there by hand would be
    overwritten. Datasets with partial work know afterwards which of it still holds.
    """
    _refuse_missing_inputs(pipeline, catalog)
    fingerprints = Fingerprints(pipeline, catalog, Digests(data / _DIGESTS))
    outputs = fingerprints.outputs()
    fingerprints.announce()
    nodes = read_ledger(catalog.get(LEDGER).path).get("nodes", {})
    seconds = {name: cost["seconds"] for name, cost in nodes.items()}
    plan = plan_run(pipeline, catalog, outputs, only_missing=only_missing, seconds=seconds)
    return fingerprints, plan, list(outputs.stale)


def _declare_stale(catalog: Any, stale: list[str]) -> None:
    if not isinstance(catalog, ProjectCatalog):
        raise InputError(
            "--runner",
            expected="the default one, where stale outputs have to be made anew",
            got=type(catalog).__name__,
            fix="Run without --runner.",
        )
    catalog.declare_stale(stale)


def _refuse_missing_inputs(pipeline: Pipeline, catalog: Any) -> None:
    from kedro.framework.project import pipelines

    for name in sorted(pipeline.inputs()):
        if name.startswith("params:") or name == "parameters":
            continue
        dataset = catalog.get(name, fallback_to_runtime_pattern=True)
        if isinstance(dataset, MemoryDataset) and not dataset.exists():
            nodes = (node for one in pipelines.values() for node in one.nodes)
            maker = next(node.name for node in nodes if name in node.outputs)
            raise InputError(
                f"dataset {name!r}",
                expected="to be made in this run, as it is kept in memory only",
                got="a run that starts behind it",
                fix=f"Start at the node that makes it: --from-nodes {maker}",
            )
        location = getattr(dataset, "path", None)
        if location is None or getattr(dataset, "optional", False) or dataset.exists():
            continue
        raise InputError(
            f"dataset {name!r} ({location})",
            expected="to be there before this pipeline runs",
            got=Words("no such file"),
            fix=f"Run what makes it ({_maker(location, catalog)}), or put your own there.",
        )


def _maker(location: Path, catalog: Any) -> str:
    from kedro.framework.project import pipelines

    for stage in STAGES:  # several entries may read one file: passages@scan and passages@table
        made = (catalog.get(name) for name in pipelines[stage].all_outputs())
        if location in {getattr(dataset, "path", None) for dataset in made}:
            return f"kedro run --pipelines {stage}"
    return "no pipeline here makes it"
