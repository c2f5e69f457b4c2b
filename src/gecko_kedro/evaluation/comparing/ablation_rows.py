"""The rows of an ablation, as they are defined."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from gecko_kedro.base.errors import InputError
from gecko_kedro.base.settings import Settings


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
        None,
        description="how task, title and text are joined; null: encoder.templates",
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
                    raise InputError(
                        where,
                        expected="a row that has no reference itself",
                        got=row.reference,
                        fix="Set the row against that one's own reference.",
                    )
            found[name] = row
        return found

    def _row(self, name: str, where: str) -> AblationRow:
        if name not in self.definitions:
            raise InputError(
                where,
                expected="names in ablate.definitions",
                got=name,
                fix=f"Known: {', '.join(self.definitions)}; or all.",
            )
        return self.definitions[name]
