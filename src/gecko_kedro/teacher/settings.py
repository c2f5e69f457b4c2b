"""Which teacher, and its knobs; the values are in the parameter files."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, model_validator

from gecko_kedro.teacher.budget import Budget, Prices
from gecko_kedro.teacher.forms import FORMS
from gecko_kedro.teacher.http.settings import HttpSettings


class LexicalSettings(BaseModel):
    """Knobs of the lexical stand-in."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mu: float = Field(gt=0, description="Dirichlet prior of query likelihood, in words")
    title_weight: float = Field(ge=0, description="how often a word of the title counts")
    lead_words: int = Field(ge=0, description="length of the lead of a passage, in words")
    lead_weight: float = Field(ge=0, description="how often a word of the lead counts besides once")
    coverage_share: float = Field(ge=0, description="of the grade: query words in the passage")
    phrase_share: float = Field(ge=0, description="of the grade: adjacent query words in it")
    lead_share: float = Field(ge=0, description="of the grade: query words in title and lead")
    form_shares: dict[str, NonNegativeFloat] = Field(
        description="wanted share of each form of query; they need not add up to 1"
    )

    @model_validator(mode="after")
    def _something_counts(self) -> "LexicalSettings":
        unknown = sorted(set(self.form_shares) - set(FORMS))
        if unknown:
            raise ValueError(
                f"form_shares: unknown {', '.join(unknown)}; the forms are {', '.join(FORMS)}"
            )
        if not any(self.form_shares.values()):
            raise ValueError("form_shares: at least one share must be above 0")
        if self.coverage_share + self.phrase_share + self.lead_share == 0:
            raise ValueError("coverage_share, phrase_share or lead_share must be above 0")
        return self


class TeacherSettings(BaseModel):
    """The backend and its settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    backend: Literal["lexical", "http"]
    batch_size: int = Field(
        ge=1,
        description="calls between two commits of the response store; http commits each",
        json_schema_extra={"execution_only": True},
    )
    budget: Budget
    prices: Prices
    lexical: LexicalSettings
    http: HttpSettings

    @model_validator(mode="after")
    def _prices_are_known(self) -> "TeacherSettings":
        if self.budget.max_cost is not None and self.prices.prompt is None:
            raise ValueError("budget.max_cost needs prices.prompt and prices.completion")
        return self
