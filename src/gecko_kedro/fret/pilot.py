"""A pilot: a small share of the seed passages, and what the whole would cost by its measure."""

import math
from collections.abc import Mapping

from gecko_kedro.teacher.budget import Prices
from gecko_kedro.teacher.usage import KindUsage

_FEWEST_SEEDS = 20  # fewer say little about the length of passages and replies
_KINDS = ("generate", "query_log_likelihood", "label_log_likelihood")


def pilot_size(whole: int, *, share: float | None) -> int:
    """How many of ``whole`` seed passages are drawn: all without a share, else at least 20."""
    if share is None:
        return whole
    return min(whole, max(_FEWEST_SEEDS, math.ceil(share * whole)))


def estimate_table(
    stages: Mapping[str, Mapping[str, float]], *, pilot: int, whole: int, prices: Prices
) -> str:
    """What ``whole`` seed passages cost when ``pilot`` of them cost ``stages``, as a text table.

    ``stages`` has the numbers of ``StoredTeacher.report`` by stage. Every call grows with the
    number of seed passages; replies from the store count like paid ones, and seconds are those that
    a paid call took. With prices the cost is in their currency.
    """
    scale = whole / pilot
    total = KindUsage()
    lines = [_line("stage", "call", "calls", "tokens in", "tokens out", "seconds", "cost")]
    for stage, metrics in stages.items():
        for kind in _KINDS:
            usage = _scaled(metrics, kind, scale)
            if usage.calls:
                lines.append(_row(stage, kind, usage, prices))
                total.add(usage)
    lines.append(_row("all", "", total, prices))
    return "\n".join(lines)


def _scaled(metrics: Mapping[str, float], kind: str, scale: float) -> KindUsage:
    def of(*names: str) -> float:
        return sum(metrics.get(f"{kind}_{name}", 0.0) for name in names)

    calls = of("calls", "hits")
    return KindUsage(
        calls=round(scale * calls),
        prompt_tokens=round(scale * of("prompt_tokens", "hit_prompt_tokens")),
        completion_tokens=round(scale * of("completion_tokens", "hit_completion_tokens")),
        seconds=scale * calls * of("seconds_per_call"),
    )


def _row(stage: str, kind: str, usage: KindUsage, prices: Prices) -> str:
    cost = prices.cost(usage)
    return _line(
        stage, kind, f"{usage.calls:,}", f"{usage.prompt_tokens:,}", f"{usage.completion_tokens:,}",
        f"{usage.seconds:,.0f}", "-" if cost is None else f"{cost:,.2f}",
    )  # fmt: skip


def _line(stage: str, kind: str, *numbers: str) -> str:
    return f"{stage:<12} {kind:<22} " + " ".join(f"{number:>14}" for number in numbers)
