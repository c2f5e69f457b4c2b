"""What the teacher cost, by kind of call: counts, prices, the limits of a run, the report."""

import logging
from dataclasses import asdict, dataclass, field, fields

from pydantic import Field, model_validator

from gecko_kedro.base.errors import InputError, Words
from gecko_kedro.base.events import emit
from gecko_kedro.base.settings import EXECUTION, Limit, Settings

logger = logging.getLogger(__name__)


@dataclass
class KindUsage:
    """``calls`` were paid for, ``hits`` came from the store (or repeat a call of the same batch).

    ``refused`` prompts got no reply (``protocol.Refused``); each is counted once in a run.
    Tokens and seconds are of the paid calls, ``hit_`` tokens of those from the store; the unit of a
    token is the backend's.
    """

    calls: int = 0
    hits: int = 0
    refused: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    hit_prompt_tokens: int = 0
    hit_completion_tokens: int = 0

    @property
    def tokens(self) -> int:
        """All tokens that were paid for."""
        return self.prompt_tokens + self.completion_tokens

    def add(self, other: "KindUsage") -> None:
        """Add every count of ``other``."""
        for one in fields(self):
            setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))


@dataclass
class Usage:
    """Usage of the three kinds of call."""

    generate: KindUsage = field(default_factory=KindUsage)
    query_log_likelihood: KindUsage = field(default_factory=KindUsage)
    label_log_likelihood: KindUsage = field(default_factory=KindUsage)

    def of(self, kind: str) -> KindUsage:
        """The record of one kind, to be added to."""
        record: KindUsage = vars(self)[kind]
        return record

    def total(self) -> KindUsage:
        """The sum of the three."""
        total = KindUsage()
        for record in vars(self).values():
            total.add(record)
        return total

    def as_metrics(self) -> dict[str, float]:
        """``{"generate_calls": ..., ...}`` of the kinds that were used."""
        return {
            f"{kind}_{name}": float(value)
            for kind, record in vars(self).items()
            for name, value in asdict(record).items()
            if record.calls or record.hits or record.refused
        }


class Prices(Settings):
    """Money per million tokens, in any currency; None where it is not known."""

    prompt: float | None = Field(None, ge=0)
    completion: float | None = Field(None, ge=0)

    @model_validator(mode="after")
    def _both_or_none(self) -> "Prices":
        if (self.prompt is None) != (self.completion is None):
            raise ValueError("prompt and completion: set both or none")
        return self

    def cost(self, usage: KindUsage) -> float | None:
        """What ``usage`` cost; None without prices."""
        if self.prompt is None or self.completion is None:
            return None
        paid = usage.prompt_tokens * self.prompt + usage.completion_tokens * self.completion
        return paid / 1e6

    def note(self, usage: KindUsage) -> str:
        """The cost for a line of the log; empty without prices."""
        cost = self.cost(usage)
        return "" if cost is None else f", cost {cost:.4g}"


class BudgetError(InputError):
    """The budget is used up; what was paid for is stored."""


class Budget(Settings):
    """What may be spent on one teacher and one response store, all runs together."""

    max_tokens_total: Limit = Field(None, json_schema_extra=EXECUTION)
    max_cost: float | None = Field(None, gt=0, json_schema_extra=EXECUTION)

    def refuse_over(self, prices: Prices, spent: KindUsage) -> None:
        """Raise ``BudgetError`` once ``spent`` has reached a limit."""
        cost, most, used = prices.cost(spent), self.max_cost, None
        if self.max_tokens_total is not None and spent.tokens >= self.max_tokens_total:
            used = "max_tokens_total", f"{self.max_tokens_total} tokens", f"{spent.tokens} tokens"
        elif most is not None and cost is not None and cost >= most:
            used = "max_cost", f"{most:g}", f"{cost:.4g}"
        if used is not None:
            name, limit, so_far = used
            raise BudgetError(
                f"teacher.budget.{name}",
                expected=f"less than {limit}",
                got=Words(f"no budget left: {so_far} spent in all runs so far"),
                fix="Raise it and run again: every reply that was paid for is stored, and the run "
                "goes on from there.",
            )


def report_usage(stage: str, usage: Usage, all_runs: Usage, prices: Prices, identity: str) -> None:
    """Log what ``stage`` used, and emit it as the event ``<stage>_teacher``.

    ``..._cost`` is there where prices are. ``..._seconds_per_call``, ``spent_tokens`` and
    ``spent_cost`` are of ``all_runs`` so far.
    """
    metrics = usage.as_metrics()
    costs = {}
    for kind, record in vars(usage).items():
        if record.refused:
            logger.warning("%s: %s: %d prompts were refused", stage, kind, record.refused)
        if record.calls or record.hits:
            logger.info(
                "%s: %s: %d calls, %d from the store, %d + %d tokens, %.1f s%s (%s)",
                stage, kind, record.calls, record.hits, record.prompt_tokens,
                record.completion_tokens, record.seconds, prices.note(record), identity,
            )  # fmt: skip
            costs[f"{kind}_cost"] = prices.cost(record)
            ever = all_runs.of(kind)
            metrics[f"{kind}_seconds_per_call"] = ever.seconds / max(ever.calls, 1)
    if metrics:
        spent = all_runs.total()
        metrics["spent_tokens"] = spent.tokens
        costs["spent_cost"] = prices.cost(spent)
    metrics |= {name: cost for name, cost in costs.items() if cost is not None}
    emit(f"{stage}_teacher", 0, metrics)
