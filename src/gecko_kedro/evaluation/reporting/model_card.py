"""The README of a tuned model: what it is made of, how good it is, and where it ends."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gecko_kedro.evaluation.comparing.comparison import Comparison
from gecko_kedro.evaluation.comparing.verdicts import headline, metric_name

_METADATA = """\
---
library_name: sentence-transformers
pipeline_tag: sentence-similarity
tags: [sentence-transformers, feature-extraction, gecko-kedro]
---
"""

_USE = """\
```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("path/of/this/folder"{truncate})
queries = model.encode(["how are ties broken"], prompt_name="query")
passages = model.encode(["Ties: the lower id first."], prompt_name="document")
scores = model.similarity(queries, passages)
```

{read} Vectors may be cut to {dims} numbers: give `truncate_dim`."""


_READ = {
    "gecko": "A query is written `task: {task} | query: {text}`, a passage "
    "`title: {title} | text: {text}` with `none` for a missing title.",
    "own": "Texts are written as for its base model: behind the prompts in its folder, if there "
    "are any, and a passage behind its title.",
}


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
    dims = ", ".join(str(dim) for dim in sorted(facts.dims, reverse=True))
    tokens = "as many" if facts.max_seq_length is None else f"at most {facts.max_seq_length}"
    tokens += " tokens" + (" as its base reads" if facts.max_seq_length is None else "")
    sections = [
        _METADATA + f"\n# {_inline(facts.name)}",
        f"A text encoder for retrieval, tuned from {_inline(facts.base_model)} by the recipe of "
        f"Gecko (Lee et al. 2024): {dims} dimensions, {tokens}, cosine similarity.",
        "## Use\n\n" + _use(facts, dims),
        "## Training data\n\n" + _table(("what", "how much"), facts.data),
        "## Teacher\n\n" + _teacher(facts),
        "## Losses\n\n" + _table(("stage", "loss"), facts.losses),
        "## Evaluation\n\n" + _evaluation(comparison),
        "## Limits\n\n" + "\n".join(f"- {_inline(limit)}" for limit in _limits(facts)),
        "## Licences of what went in\n\n" + _table(("input", "licence"), facts.licences),
    ]
    return "\n\n".join(sections) + "\n"


def _use(facts: ModelFacts, dims: str) -> str:
    truncate = f", truncate_dim={min(facts.dims)}" if len(facts.dims) > 1 else ""
    read = _READ[facts.templates]
    return _USE.format(truncate=truncate, dims=" or ".join(dims.split(", ")), read=read)


def _teacher(facts: ModelFacts) -> str:
    told = (
        f"Queries were written and passages judged by `{_inline(facts.teacher)}`."
        if facts.teacher_is_language_model
        else f"No language model was used. A lexical stand-in, `{_inline(facts.teacher)}`, took "
        "queries from the passages' own words and judged passages by word statistics."
    )
    return told + "\n\n" + _table(("prompt", "version"), facts.prompt_versions)


def _limits(facts: ModelFacts) -> list[str]:
    standing = [
        "The scores hold for the tasks above; on other text and other languages they are unknown.",
        "It reads at most the number of tokens given above; what comes after is not seen.",
    ]
    if not facts.teacher_is_language_model:
        standing.append(
            "Labels of a lexical stand-in favour shared words; those of a language model do not."
        )
    return [*standing, *facts.limits]


def _evaluation(comparison: Comparison | None) -> str:
    if comparison is None:
        return "Not evaluated."
    header = "| task | metric | model | dimension | score | difference to base | verdict |\n"
    lines = [_result_line(row) for row in comparison.results.iter_rows(named=True)]
    return (
        _inline(headline(comparison)) + "\n\n" + header + "|---|---|---|---|---|---|---|\n"
        + "\n".join(lines)
        + "\n\nDifferences are at the same dimension, with 95 % intervals of a paired "
        "bootstrap over groups of queries."
    )  # fmt: skip


def _result_line(row: Mapping[str, Any]) -> str:
    difference = (
        ""
        if row["difference"] is None
        else f"{row['difference']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}]"
    )
    cells = [
        _inline(row["task"]), metric_name(row["metric"]), _inline(row["model"]),
        row["dimension"] or "", f"{row['score']:.4f}", difference, row["verdict"] or "",
    ]  # fmt: skip
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def _table(header: tuple[str, str], values: Mapping[str, Any]) -> str:
    if not values:
        return "Nothing is recorded."
    rows = [f"| {_inline(key)} | {_inline(value)} |" for key, value in values.items()]
    return "\n".join([f"| {header[0]} | {header[1]} |", "|---|---|", *rows])


def _inline(value: object) -> str:
    """Data in one line of Markdown: no new row, no new cell, no HTML."""
    text = f"{value:,}" if isinstance(value, int) else " ".join(str(value).split())
    return text.replace("|", "\\|").replace("<", "&lt;")
