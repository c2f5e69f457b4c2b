"""The data card of a FRet table, which is also what makes its folder a data set to load."""

from collections.abc import Mapping

import polars as pl

_METADATA = """\
---
license: other
task_categories: [sentence-similarity, text-retrieval]
tags: [gecko-kedro, synthetic]
configs:
- config_name: default
  data_files: [{{split: train, path: {file}}}]
---
"""

_USE = """\
```python
from datasets import load_dataset

fret = load_dataset("parquet", data_files="{file}", split="train")
# For sentence-transformers: (anchor, positive, negative).
columns = {{"query": "anchor", "positive": "positive", "negative": "negative"}}
triplets = fret.select_columns(list(columns)).rename_columns(columns)
```"""


def fret_card(
    fret: pl.DataFrame,
    *,
    file: str,
    source: str,
    teacher: str,
    teacher_is_language_model: bool,
    prompt_versions: Mapping[str, str],
    settings: Mapping[str, object],
) -> str:
    """The card in Markdown with the metadata of the Hugging Face hub; counts are of ``fret``.

    ``file`` is the Parquet file beside the card, ``source`` the corpus, ``settings`` say how
    positives and negatives were chosen.
    """
    tasks = fret["task_name"].value_counts().sort("count", "task_name", descending=[True, False])
    seeded = fret["positive_is_seed"].drop_nulls()
    counts: dict[str, object] = {
        "rows": fret.height,
        "with a seed passage": len(seeded),
        "whose positive is not the seed": int((~seeded).sum()),
        "with a hard negative": fret.height - fret["negative"].null_count(),
        "candidates": int(fret["candidate_ids"].list.len().sum()),
        **{f"task: {name}": count for name, count in tasks.iter_rows()},
    }
    writer = (
        f"The queries were written and the passages judged by `{_plain(teacher)}`."
        if teacher_is_language_model
        else f"No language model was used: a lexical stand-in, `{_plain(teacher)}`, took "
        "phrases out of the passages for queries and judged by word statistics."
    )
    sections = [
        _METADATA.format(file=file) + "\n# FRet",
        "Queries with a positive and a hard negative passage each, made by the recipe of Gecko "
        "(Lee et al. 2024, section 3) with gecko_kedro: a teacher writes a task and a query for a "
        "seed passage, a retriever finds candidates, the teacher ranks them, and the first and "
        "the last are kept. Scores and ranks of all candidates are there.",
        "## Use\n\n" + _USE.format(file=file),
        "## Counts\n\n" + _table(("what", "how many"), counts),
        "## Teacher\n\n"
        + writer
        + "\n\n"
        + _table(("prompt", "version"), prompt_versions)
        + "\n\n"
        + _table(("setting", "value"), settings),
        "## Columns\n\n"
        + _table(("column", "type"), {name: str(kind) for name, kind in fret.schema.items()}),
        "## Licence\n\n"
        f"The passages are texts of the corpus `{_plain(source)}` and keep their licences; "
        "look at them, and at the terms of the teacher, before you pass this table on.",
    ]
    return "\n\n".join(sections) + "\n"


def _table(head: tuple[str, str], rows: Mapping[str, object]) -> str:
    lines = [f"| {head[0]} | {head[1]} |", "|---|---|"]
    lines += [f"| {_plain(name)} | {_plain(str(value))} |" for name, value in rows.items()]
    return "\n".join(lines)


def _plain(text: str) -> str:
    """On one line and without what would end a cell or a code span."""
    return " ".join(text.split()).replace("|", "\\|").replace("`", "'")
