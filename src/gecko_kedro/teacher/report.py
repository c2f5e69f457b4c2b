"""What a stage used of a teacher, for the log and for MLflow."""

import logging

from gecko_kedro.base.events import emit
from gecko_kedro.teacher.budget import Prices
from gecko_kedro.teacher.usage import KindUsage, Usage

logger = logging.getLogger(__name__)
_KINDS = ("generate", "query_log_likelihood", "label_log_likelihood")


def report_usage(stage: str, usage: Usage, all_runs: Usage, prices: Prices, identity: str) -> None:
    """Log what ``stage`` used, and emit it as the event ``<stage>_teacher``.

    ``..._cost`` is there where prices are. ``..._seconds_per_call``, ``spent_tokens`` and
    ``spent_cost`` are of ``all_runs`` so far.
    """
    metrics = usage.as_metrics()
    for kind in _KINDS:
        record = usage.of(kind)
        if record.refused:
            logger.warning("%s: %s: %d prompts were refused", stage, kind, record.refused)
        if record.calls or record.hits:
            logger.info(
                "%s: %s: %d calls, %d from the store, %d + %d tokens, %.1f s%s (%s)",
                stage, kind, record.calls, record.hits, record.prompt_tokens,
                record.completion_tokens, record.seconds, cost_note(prices, record), identity,
            )  # fmt: skip
            cost = prices.cost(record)
            metrics |= {} if cost is None else {f"{kind}_cost": cost}
            ever = all_runs.of(kind)
            metrics[f"{kind}_seconds_per_call"] = ever.seconds / max(ever.calls, 1)
    if metrics:
        spent = all_runs.total()
        cost = prices.cost(spent)
        metrics["spent_tokens"] = spent.prompt_tokens + spent.completion_tokens
        metrics |= {} if cost is None else {"spent_cost": cost}
    emit(f"{stage}_teacher", 0, metrics)


def cost_note(prices: Prices, usage: KindUsage) -> str:
    """The cost for a line of the log; empty without prices."""
    cost = prices.cost(usage)
    return "" if cost is None else f", cost {cost:.4g}"
