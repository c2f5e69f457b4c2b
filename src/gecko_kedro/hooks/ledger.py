"""What a run costs: seconds and peak memory of each node, and what the teacher was asked."""

import json
import logging
import platform
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
from kedro.framework.hooks import hook_impl
from kedro.pipeline.node import Node

from gecko_kedro.base import events
from gecko_kedro.base.files import write_text
from gecko_kedro.base.memory import peak_memory_mb, reset_peak_memory

logger = logging.getLogger(__name__)
LEDGER = "params:work.run_ledger"
_PACKAGES = (
    "gecko-kedro", "torch", "transformers", "sentence-transformers", "mteb", "kedro", "mlflow",
    "numpy", "polars", "usearch",
)  # fmt: skip


class LedgerHooks:
    """Keeps the catalog's ``run_ledger``, which the report and MLflow read; at the end a table.

    A node's time ends with the last save of its outputs, since a generator works while it is being
    saved. Entries of nodes that this run does not touch stay: a re-run of one stage keeps the
    costs of the others.
    """

    def __init__(self) -> None:
        self._file = Path()
        self._started = 0.0
        self._costs: dict[str, dict[str, float]] = {}  # of this run
        self._saved: set[str] = set()
        self._stop_listening: Callable[[], None] | None = None

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], catalog: Any) -> None:
        """Open the ledger."""
        self._file = catalog.get(LEDGER).path
        self._costs, self._saved = {}, set()
        self._update({"run": _describe_run(run_params)})
        self._stop_listening = events.subscribe(self._on_event)

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """Start the clock."""
        self._started = time.perf_counter()
        reset_peak_memory()

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any, node: Node) -> None:
        """Note time and memory up to this save."""
        entry = {
            "seconds": round(time.perf_counter() - self._started, 3),
            "peak_mb": round(peak_memory_mb(), 1),
        }
        self._costs[node.name] = entry
        self._saved.add(dataset_name)
        self._update({"nodes": {node.name: entry}})

    @hook_impl
    def after_pipeline_run(self, catalog: Any) -> None:
        """Close the ledger; print what each node cost, the results, and where the report is."""
        self._close()
        if not self._costs:
            logger.info("Nothing to do: every output is there.")
            return
        logger.info("\n%s", _cost_table(self._costs))
        if "evaluate.comparison" in self._saved:
            logger.info("\n%s", _results(catalog))
        if "report" in self._saved:
            logger.info("\nReport: %s", catalog.get("report").path)

    @hook_impl
    def on_pipeline_error(self, error: Exception) -> None:
        """Close the ledger."""
        self._close()

    def _close(self) -> None:
        if self._stop_listening is not None:
            self._stop_listening()
            self._stop_listening = None

    def _on_event(self, name: str, step: int, values: Mapping[str, float]) -> None:
        if name.endswith("_teacher"):
            self._update({"teacher": {name.removesuffix("_teacher"): dict(values)}})

    def _update(self, changes: dict[str, dict[str, Any]]) -> None:
        ledger = read_ledger(self._file)
        for section, entries in changes.items():
            ledger[section] = ledger.get(section, {}) | entries
        write_text(self._file, json.dumps(ledger, indent=1))


def read_ledger(file: Path) -> dict[str, Any]:
    """The ledger, empty when there is none yet or it is damaged: nothing is made from it."""
    if not file.is_file():
        return {}
    try:
        ledger: dict[str, Any] = json.loads(file.read_text("utf-8"))
    except ValueError:
        logger.warning("%s is damaged: the costs of earlier runs are lost", file)
        return {}
    return ledger


def _cost_table(costs: Mapping[str, Mapping[str, float]]) -> str:
    peak = max(cost["peak_mb"] for cost in costs.values())
    whole = {"seconds": sum(cost["seconds"] for cost in costs.values()), "peak_mb": peak}
    lines = [f"{'node':<36} {'seconds':>8} {'peak MB':>8}"]
    for name, cost in (*costs.items(), ("all", whole)):
        lines.append(f"{name:<36} {cost['seconds']:>8.1f} {cost['peak_mb']:>8.0f}")
    return "\n".join(lines)


def _results(catalog: Any) -> str:
    from gecko_kedro import evaluation
    from gecko_kedro.pipelines.evaluate.content import comparison

    compared = catalog.load("evaluate.comparison")
    return evaluation.as_text(
        comparison(compared),
        categories=compared["categories"],
        failures=catalog.load("evaluate.evaluation_scores")["failures"],
    )


def _describe_run(run_params: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "pipelines": run_params.get("pipeline_names") or ["__default__"],
        "env": run_params.get("env"),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {psutil.cpu_count()} CPUs",
        "versions": {name: found for name in _PACKAGES if (found := _version(name))},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
