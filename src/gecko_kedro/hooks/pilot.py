"""After a pilot: what the whole run would cost."""

import logging
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.pipeline import Pipeline

from gecko_kedro.base.shards import count_rows
from gecko_kedro.fret.pilot import estimate_table
from gecko_kedro.hooks.ledger import LEDGER, read_ledger
from gecko_kedro.params import Parameters, check_parameters

logger = logging.getLogger(__name__)


class PilotHooks:
    """Prints an estimate where ``synthesize.pilot`` is set and the teacher was asked."""

    def __init__(self) -> None:
        self._parameters: Parameters | None = None

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Learn whether this is a pilot."""
        self._parameters = check_parameters(context.config_loader["parameters"])

    @hook_impl
    def after_pipeline_run(self, pipeline: Pipeline, catalog: Any) -> None:
        """Scale what the stages of this run used up to all seed passages."""
        if self._parameters is None or self._parameters.synthesize.pilot is None:
            return
        ran = {node.name.split(".")[0] for node in pipeline.nodes}
        recorded = read_ledger(catalog.get(LEDGER).path).get("teacher", {})
        stages = {stage: used for stage, used in recorded.items() if stage in ran and used}
        if not stages:
            return
        pilot = catalog.load("synthesize.seed_passages").height
        if not pilot:
            return
        whole = min(self._parameters.synthesize.n_seeds, count_rows(catalog.load("passages@scan")))
        prices = self._parameters.teacher.prices
        logger.info(
            "Estimate for all %d seed passages, from a pilot of %d (replies that were paid for are "
            "reused):\n%s",
            whole, pilot, estimate_table(stages, pilot=pilot, whole=whole, prices=prices),
        )  # fmt: skip
