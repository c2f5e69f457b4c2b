"""An estimate as a text table."""

from collections.abc import Sequence

from gecko_kedro.estimation.stages import StageCost, total_cost
from gecko_kedro.teacher.usage import Prices

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def cost_table(costs: Sequence[StageCost], *, prices: Prices) -> str:
    """One line a stage and one for all; money where there are prices."""
    heads = ("time", "memory", "disk", "calls", "tokens in", "tokens out", "cost")
    rows = [_row(cost, prices) for cost in (*costs, total_cost(costs))]
    return "\n".join([_line("stage", *heads), *rows])


def _row(cost: StageCost, prices: Prices) -> str:
    money = prices.cost(cost.usage) if cost.usage.calls else None
    return _line(
        cost.stage, duration(cost.seconds), size(cost.memory), size(cost.disk),
        f"{cost.usage.calls:,}", f"{cost.usage.prompt_tokens:,}",
        f"{cost.usage.completion_tokens:,}", "-" if money is None else f"{money:,.2f}",
    )  # fmt: skip


def _line(stage: str, time: str, memory: str, disk: str, *numbers: str) -> str:
    ends = " ".join(f"{number:>15}" for number in numbers)
    return f"{stage:<30} {time:>10} {memory:>9} {disk:>9} {ends}"


def duration(seconds: float) -> str:
    """Three digits or so, in the unit that reads best: "42 s", "3.4 h", "1,200 d"."""
    if seconds < 120:
        return f"{seconds:.3g} s"
    if seconds < 7200:
        return f"{seconds / 60:.3g} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.3g} h"
    return f"{seconds / 86400:,.0f} d"


def size(bytes_: float) -> str:
    """Three digits in powers of 1,000: "1.54 GB"."""
    value, unit = bytes_, _UNITS[0]
    for unit in _UNITS:
        if value < 999.5 or unit == _UNITS[-1]:
            break
        value /= 1000
    return f"{value:.3g} {unit}"
