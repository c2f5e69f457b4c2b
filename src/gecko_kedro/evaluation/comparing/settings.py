"""What can be set about comparisons: of models, points of a sweep, ablations, published scores."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from gecko_kedro.base.errors import InputError
from gecko_kedro.base.settings import Count, Limit, Seed, Settings, Share

Tolerance = Annotated[float, Field(ge=0.0)]


class CompareSettings(Settings):
    """The paired bootstrap."""

    resamples: Count = 10_000
    seed: Seed = 7


class ShowSettings(Settings):
    """How much the report shows."""

    moved_queries: Count = 10


class SweepSettings(CompareSettings):
    """The points between base and tuned, and the share of query groups to choose one on."""

    weights: Annotated[list[Share], Field(min_length=2)] = [0.0, 0.25, 0.5, 0.75, 1.0]
    choose_fraction: Share = 0.5


class WeightSettings(Settings):
    """The point that is taken; None for the best one without a loss."""

    weight: Share | None = None


class AblationSettings(Settings):
    """Which seeds, at what size, measured on what."""

    seeds: Annotated[list[Seed], Field(min_length=1)] = [1, 2, 3]
    max_rows: Limit = 2000
    max_steps: Limit = None
    tasks: list[str] | None = None


class AblationRow(Settings):
    """One row of an ablation: what it changes, against which row, and what the paper found."""

    description: str
    reference: str | None = Field(description="the row that it is set against; null for none")
    paper: dict[str, float] = Field(
        default_factory=dict,
        description="the paper's difference to its reference, in points, by type of task",
    )
    source: str | None = Field(None, description="where the paper has it")
    overrides: dict[str, Any] = Field(
        default_factory=dict, description="dotted names of relabel and finetune, and their values"
    )
    templates: Literal["concatenated"] | None = Field(
        None, description="how task, title and text are joined; null: encoder.train.templates"
    )
    requires: Literal["classification"] | None = Field(
        None, description="a converter that finetune.sources must have, or the row is left out"
    )


class AblationRows(Settings):
    """The rows that are defined, and the names of those that are run."""

    rows: Annotated[list[str], Field(min_length=1)]
    definitions: dict[str, AblationRow]

    @field_validator("rows", mode="before")
    @classmethod
    def _one_text(cls, rows: object) -> object:
        """``--params`` takes no list of several: ``ablate.rows=recipe+seed_none``."""
        return rows.split("+") if isinstance(rows, str) else rows

    def chosen(self) -> dict[str, AblationRow]:
        """The chosen rows, each behind the one it is set against; ``all`` means all."""
        found: dict[str, AblationRow] = {}
        for name in self.definitions if self.rows == ["all"] else self.rows:
            row = self._row(name, "ablate.rows")
            if row.reference is not None:
                where = f"ablate.definitions.{name}.reference"
                found[row.reference] = self._row(row.reference, where)
                if found[row.reference].reference is not None:
                    fix = "Set the row against that one's own reference."
                    expected = "a row that has no reference itself"
                    raise InputError(where, expected=expected, got=row.reference, fix=fix)
            found[name] = row
        return found

    def _row(self, name: str, where: str) -> AblationRow:
        if name not in self.definitions:
            fix = f"Known: {', '.join(self.definitions)}; or all."
            raise InputError(where, expected="names in ablate.definitions", got=name, fix=fix)
        return self.definitions[name]


class ParitySettings(Settings):
    """Which published scores, and how far ours may be from them, in percent."""

    published: list[str] = ["all-MiniLM-L6-v2, 2022", "all-MiniLM-L6-v2, results"]
    tolerance_by_type: dict[str, Tolerance] = {
        "STS": 0.05,
        "PairClassification": 0.05,
        "Retrieval": 0.05,
        "Reranking": 0.05,
        "Summarization": 0.05,
        "Classification": 1.5,
        "Clustering": 1.5,
    }
    tolerance_by_task: dict[str, Tolerance] = {"EmotionClassification": 2.5}
