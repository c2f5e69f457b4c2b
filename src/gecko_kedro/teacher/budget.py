"""Prices, and the limits at which a run stops."""

from pydantic import Field, model_validator

from gecko_kedro.base.errors import InputError, Words
from gecko_kedro.base.settings import EXECUTION, Limit, Settings
from gecko_kedro.teacher.usage import KindUsage


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


class Budget(Settings):
    """What may be spent on one teacher and one response store, all runs together."""

    max_tokens_total: Limit = Field(None, json_schema_extra=EXECUTION)
    max_cost: float | None = Field(None, gt=0, json_schema_extra=EXECUTION)


class BudgetError(InputError):
    """The budget is used up; what was paid for is stored."""


def refuse_over(budget: Budget, prices: Prices, spent: KindUsage) -> None:
    """Raise ``BudgetError`` once ``spent`` has reached a limit."""
    tokens = spent.prompt_tokens + spent.completion_tokens
    if budget.max_tokens_total is not None and tokens >= budget.max_tokens_total:
        raise _used_up("max_tokens_total", f"{budget.max_tokens_total} tokens", f"{tokens} tokens")
    cost = prices.cost(spent)
    if budget.max_cost is not None and cost is not None and cost >= budget.max_cost:
        raise _used_up("max_cost", f"{budget.max_cost:g}", f"{cost:.4g}")


def _used_up(name: str, limit: str, spent: str) -> BudgetError:
    return BudgetError(
        f"teacher.budget.{name}",
        expected=f"less than {limit}",
        got=Words(f"no budget left: {spent} spent in all runs so far"),
        fix="Raise it and run again: every reply that was paid for is stored, and the run goes on "
        "from there.",
    )
