"""The README of a tuned model: what it is made of, how good it is, and where it ends."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from gecko_kedro.evaluation.comparing.comparison import Comparison
from gecko_kedro.evaluation.comparing.verdicts import headline, metric_name

_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class ModelFacts:
    """What the card tells; plain data, collected by the caller.

    ``teacher_is_language_model`` decides whether the card calls the teacher what it is: a lexical
    stand-in wrote and judged the queries, and no language model.
    """

    name: str
    base_model: str
    dims: Sequence[int]
    max_seq_length: int | None
    teacher: str
    teacher_is_language_model: bool
    prompt_versions: Mapping[str, str]
    data: Mapping[str, str | int]  # what it was trained on: label to count or description
    losses: Mapping[str, str]  # training stage to loss
    licences: Mapping[str, str]  # input to licence
    templates: Literal["gecko", "own"] = "gecko"  # that it was trained with
    limits: Sequence[str] = ()


def model_card(facts: ModelFacts, comparison: Comparison | None) -> str:
    """The card in Markdown, with the scores and intervals of ``comparison`` if there is one."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), undefined=StrictUndefined, trim_blocks=True,
        keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters["inline"] = _inline
    return environment.get_template("model_card.md.j2").render(
        facts=facts,
        dims=sorted(facts.dims, reverse=True),
        comparison=comparison,
        headline=comparison and headline(comparison),
        results=comparison and map(_cells, comparison.results.iter_rows(named=True)),
        table=_table,
    )


def _cells(row: Mapping[str, Any]) -> tuple[object, ...]:
    difference = ""
    if row["difference"] is not None:
        difference = f"{row['difference']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}]"
    return (
        row["task"], metric_name(row["metric"]), row["model"], str(row["dimension"] or ""),
        f"{row['score']:.4f}", difference, row["verdict"] or "",
    )  # fmt: skip


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(map(_inline, row)) + " |" for row in rows]
    if not lines:
        return "Nothing is recorded."
    return "\n".join(["| " + " | ".join(header) + " |", "|---" * len(header) + "|", *lines])


def _inline(value: object) -> str:
    """Data in one line of Markdown: no new row, no new cell, no HTML."""
    text = f"{value:,}" if isinstance(value, int) else " ".join(str(value).split())
    return text.replace("|", "\\|").replace("<", "&lt;")
