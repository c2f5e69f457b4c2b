"""The unified format: every training set becomes (task, query, positive, negative)."""

import ast
from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from gecko_kedro.corpus.quarantine import (
    QuarantineRow,
    count_reasons,
    quarantine_row,
    quarantine_table,
)
from gecko_kedro.encoder.formatting import GECKO, Templates, render_passage, render_query
from gecko_kedro.errors import InputError

EXAMPLE_SCHEMA = pl.Schema(
    {
        "dataset": pl.String,  # rows of one batch come from one data set
        "task_name": pl.String,  # short name, as in the paper's Table 9
        "query": pl.String,
        "positive_title": pl.String,  # nullable
        "positive": pl.String,
        "negative_title": pl.String,  # nullable
        "negative": pl.String,  # nullable: a row without a hard negative
        "symmetric": pl.Boolean,  # both sides in the query's form
    }
)

# Kinds of natural pairs whose query is the title or the name: the title would give it away.
_TITLE_IS_THE_QUERY = ("title_body", "name_body")


@dataclass(frozen=True)
class ExampleResult:
    """Good rows (EXAMPLE_SCHEMA), bad rows (QUARANTINE_SCHEMA) and counts.

    ``counts`` has ``examples``, ``quarantined`` and one entry for each quarantine reason.
    """

    examples: pl.DataFrame
    quarantine: pl.DataFrame
    counts: dict[str, int]


def from_pairs(pairs: pl.DataFrame, *, passages: pl.DataFrame | None = None) -> ExampleResult:
    """Natural pairs (PAIR) without negatives; the data set is named after the kind of pair.

    With ``passages`` (PASSAGE) a positive carries its title, unless the query was made from it.
    """
    titles = _titles(passages, id_column="passage_id", as_column="positive_title")
    rows = pairs.join(titles, on="passage_id", how="left", maintain_order="left")
    return check_examples(
        rows.select(
            dataset="kind",
            task_name="task",
            query="query",
            positive_title=pl.when(~pl.col("kind").is_in(_TITLE_IS_THE_QUERY)).then(
                pl.col("positive_title")
            ),
            positive="text",
            negative_title=pl.lit(None, pl.String),
            negative=pl.lit(None, pl.String),
            symmetric=pl.lit(value=False),
        ),
        where="natural pairs",
    )


def from_fret(fret: pl.DataFrame) -> ExampleResult:
    """FRet rows with their relabelled positive and hard negative, as the data set ``fret``."""
    return check_examples(
        fret.select(
            dataset=pl.lit("fret"),
            task_name="task_name",
            query="query",
            positive_title="positive_title",
            positive="positive",
            negative_title="negative_title",
            negative="negative",
            symmetric=pl.lit(value=False),
        ),
        where="fret",
    )


def from_seed_queries(queries: pl.DataFrame, passages: pl.DataFrame) -> ExampleResult:
    """(query, the passage it was written for): what the seed retriever is trained on.

    Queries of a log have no seed and are left out (not bad rows); a query whose seed is not among
    ``passages`` is quarantined as ``empty_positive``.
    """
    seeded = queries.filter(pl.col("passage_id").is_not_null())
    rows = seeded.join(
        passages.select("passage_id", "title", "text"),
        on="passage_id",
        how="left",
        maintain_order="left",
    )
    return check_examples(
        rows.select(
            dataset=pl.lit("seed_queries"),
            task_name="task_name",
            query="query",
            positive_title="title",
            positive="text",
            negative_title=pl.lit(None, pl.String),
            negative=pl.lit(None, pl.String),
            symmetric=pl.lit(value=False),
        ),
        where="seed queries",
    )


def check_examples(examples: pl.DataFrame, *, where: str) -> ExampleResult:
    """Split rows of the unified format into good and bad ones; wrong columns raise InputError.

    Reasons, the first that fits: ``empty_query``, ``empty_positive``, ``empty_negative`` (a blank
    one; null means none), ``list_as_string`` (a text that is the printed form of a list),
    ``query_equals_positive``, ``query_equals_negative``, ``positive_equals_negative`` (texts
    compared without case and outer blanks).
    """
    if dict(examples.schema) != dict(EXAMPLE_SCHEMA):
        raise InputError(
            where,
            expected=f"the columns {_described(EXAMPLE_SCHEMA)}",
            got=_described(examples.schema),
            fix="Rename or cast the columns; training/examples.py says what each one holds.",
        )
    query, positive, negative = (_plain(name) for name in ("query", "positive", "negative"))
    reason = (
        pl.when(query.fill_null("") == "")
        .then(pl.lit("empty_query"))
        .when(positive.fill_null("") == "")
        .then(pl.lit("empty_positive"))
        .when(negative == "")
        .then(pl.lit("empty_negative"))
        .when(pl.any_horizontal(_is_printed_list(name) for name in _TEXTS))
        .then(pl.lit("list_as_string"))
        .when(query == positive)
        .then(pl.lit("query_equals_positive"))
        .when(query == negative)
        .then(pl.lit("query_equals_negative"))
        .when(positive == negative)
        .then(pl.lit("positive_equals_negative"))
    )
    rows = examples.select(EXAMPLE_SCHEMA.names()).with_row_index("row").with_columns(reason=reason)
    good = rows.filter(pl.col("reason").is_null()).drop("row", "reason")
    bad = rows.filter(pl.col("reason").is_not_null())
    quarantined = _quarantined(bad, where=where)
    counts = {"examples": good.height} | count_reasons(quarantined)
    return ExampleResult(good, quarantine_table(quarantined), counts)


def render_examples(examples: pl.DataFrame, *, templates: Templates = GECKO) -> pl.DataFrame:
    """The texts as the model reads them: columns query, positive, negative (nullable).

    A symmetric row has the query's form on both sides, under its own task name.
    """

    def passage(task: str, title: str | None, text: str | None, symmetric: bool) -> str | None:
        if text is None:
            return None
        if symmetric:
            return render_query(task, text, templates=templates)
        return render_passage(title, text, templates=templates)

    def side(name: str, render: Callable[..., str | None]) -> pl.Series:
        columns = ("task_name", f"{name}_title", name, "symmetric")
        rows = examples.select(columns).iter_rows()
        return pl.Series(name, [render(*row) for row in rows], dtype=pl.String)

    queries = [
        render_query(task, text, templates=templates)
        for task, text in examples.select("task_name", "query").iter_rows()
    ]
    return pl.DataFrame(
        [
            pl.Series("query", queries, dtype=pl.String),
            side("positive", passage),
            side("negative", passage),
        ]
    )


_TEXTS = ("query", "positive", "negative")


def _plain(name: str) -> pl.Expr:
    return pl.col(name).str.strip_chars().str.to_lowercase()


def _is_printed_list(name: str) -> pl.Expr:
    # The pattern is cheap and rejects nearly all; ast decides on the rest.
    suspect = pl.col(name).str.contains(r"""^\s*\[\s*['"](?s:.*)['"]\s*,?\s*\]\s*$""")
    return (
        pl.when(suspect)
        .then(pl.col(name).map_elements(_parses_as_list, return_dtype=pl.Boolean))
        .otherwise(pl.lit(value=False))
        .fill_null(value=False)
    )


def _parses_as_list(text: str) -> bool:
    try:
        value = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return False
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _titles(passages: pl.DataFrame | None, *, id_column: str, as_column: str) -> pl.DataFrame:
    if passages is None:
        return pl.DataFrame(schema={id_column: pl.String, as_column: pl.String})
    return passages.select(id_column, pl.col("title").alias(as_column))


def _described(schema: pl.Schema) -> str:
    return ", ".join(f"{name} {dtype}" for name, dtype in schema.items())


def _quarantined(bad: pl.DataFrame, *, where: str) -> list[QuarantineRow]:
    return [
        quarantine_row(
            where,
            f"row {row['row']}",
            reason=row["reason"],
            detail=f"data set {row['dataset']}",
            record={name: row[name] for name in EXAMPLE_SCHEMA},
        )
        for row in bad.iter_rows(named=True)
    ]
