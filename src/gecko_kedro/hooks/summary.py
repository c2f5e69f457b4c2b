"""The end of a run in one table: what each node cost, the results, and where the report is."""

import logging
import time
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.pipeline.node import Node

from gecko_kedro.base.memory import peak_memory_mb

logger = logging.getLogger(__name__)


class SummaryHooks:
    """One line when a node ends, and the final table."""

    def __init__(self) -> None:
        self._costs: dict[str, tuple[float, float]] = {}
        self._started = 0.0
        self._saved: set[str] = set()

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """Start the node's clock."""
        self._started = time.perf_counter()

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any, node: Node) -> None:
        """Note the node's cost up to this save."""
        self._saved.add(dataset_name)
        self._costs[node.name] = (time.perf_counter() - self._started, peak_memory_mb())

    @hook_impl
    def after_pipeline_run(self, catalog: Any) -> None:
        """Print the tables."""
        if not self._costs:
            logger.info("Nothing to do: every output is there.")
            return
        logger.info("\n%s", self._cost_table())
        if "comparison" in self._saved:
            logger.info("\n%s", _results(catalog))
        if "report" in self._saved:
            logger.info("\nReport: %s", catalog.get("report").path)

    def _cost_table(self) -> str:
        lines = [f"{'node':<36} {'seconds':>8} {'peak MB':>8}"]
        lines += [f"{n:<36} {s:>8.1f} {m:>8.0f}" for n, (s, m) in self._costs.items()]
        seconds = sum(seconds for seconds, _ in self._costs.values())
        peak = max(peak for _, peak in self._costs.values())
        return "\n".join([*lines, f"{'all':<36} {seconds:>8.1f} {peak:>8.0f}"])


def _results(catalog: Any) -> str:
    from gecko_kedro import evaluation

    compared = catalog.load("comparison")
    return evaluation.as_text(
        evaluation.Comparison(compared["results"], compared["fret"], compared["by_group"]),
        categories=compared["categories"],
        failures=catalog.load("evaluation_scores")["failures"],
    )
