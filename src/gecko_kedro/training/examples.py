"""The unified format: every training set becomes (task, query, positive, negatives)."""

import ast
from contextlib import suppress

import polars as pl

from gecko_kedro.base.errors import InputError
from gecko_kedro.base.text import normalised
from gecko_kedro.corpus.quarantine import Checked, count_reasons, quarantine_row, quarantine_table
from gecko_kedro.encoder.formatting import GECKO, Templates, render_passage, render_query

NEGATIVE: pl.DataType = pl.Struct({"title": pl.String, "text": pl.String})  # the title is nullable

_COLUMNS: dict[str, pl.DataType | type[pl.DataType]] = {
    "dataset": pl.String,  # rows of one batch come from one data set
    "task_name": pl.String,  # short name, as in the paper's Table 9
    "query": pl.String,
    "positive_title": pl.String,  # nullable
    "positive": pl.String,
    "negatives": pl.List(NEGATIVE),  # the one to use first at the front; empty for none
    "teacher_scores": pl.List(pl.Float64),  # positive, then each negative; nullable
    "label": pl.String,  # class of the row, for the label mask; nullable
    "symmetric": pl.Boolean,  # both sides in the query's form
}
EXAMPLE_SCHEMA = pl.Schema(_COLUMNS)
_RENDERED = pl.Schema(
    [("query", pl.String), ("positive", pl.String), ("negatives", pl.List(pl.String))]
)


def check_examples(examples: pl.DataFrame, *, where: str) -> Checked:
    """Split rows of the unified format into good and bad ones; wrong columns raise InputError.

    The good rows are counted as ``examples``.

    Reasons, the first that fits: ``empty_query``, ``empty_positive``, ``empty_negative`` (a blank
    or missing text in the list), ``list_as_string`` (a text that is the printed form of a list),
    ``query_equals_positive``, ``query_equals_negative``, ``positive_equals_negative``,
    ``negative_is_known_positive`` (a positive of the same query in another row),
    ``wrong_number_of_teacher_scores``. ``base.text`` says which texts are the same.
    """
    if dict(examples.schema) != dict(EXAMPLE_SCHEMA):
        raise InputError(
            where,
            expected=f"the columns {_described(EXAMPLE_SCHEMA)}",
            got=_described(examples.schema),
            fix="Rename or cast the columns; training/examples.py says what each one holds.",
        )
    rows = examples.select(EXAMPLE_SCHEMA.names()).with_row_index("row")
    rows = rows.with_columns(pl.col("negatives").fill_null([]), reason=_reasons(rows))
    good = rows.filter(pl.col("reason").is_null()).drop("row", "reason")
    bad = rows.filter(pl.col("reason").is_not_null())
    quarantined = [
        quarantine_row(
            where,
            f"row {row['row']}",
            reason=row["reason"],
            detail=f"data set {row['dataset']}",
            record={name: row[name] for name in EXAMPLE_SCHEMA},
        )
        for row in bad.iter_rows(named=True)
    ]
    counts = {"examples": good.height} | count_reasons(quarantined)
    return Checked(good, quarantine_table(quarantined), counts)


def render_examples(
    examples: pl.DataFrame, *, templates: Templates = GECKO, max_negatives: int | None = None
) -> pl.DataFrame:
    """The texts as the model reads them: columns query, positive, negatives (a list).

    A symmetric row has the query's form on both sides, under its own task name. Of a row's
    negatives the first ``max_negatives`` are kept; None keeps all.
    """

    def passage(task: str, title: str | None, text: str, symmetric: bool) -> str:
        if symmetric:
            return render_query(task, text, templates=templates)
        return render_passage(title, text, templates=templates)

    columns = ("task_name", "symmetric", "query", "positive_title", "positive", "negatives")
    read = examples.select(columns).iter_rows()
    rows = [
        (
            render_query(task, query, templates=templates),
            passage(task, title, positive, symmetric),
            [passage(task, n["title"], n["text"], symmetric) for n in negatives[:max_negatives]],
        )
        for task, symmetric, query, title, positive, negatives in read
    ]
    return pl.DataFrame(rows, schema=_RENDERED, orient="row")


def _reasons(rows: pl.DataFrame) -> pl.Series:
    """Why each row (of EXAMPLE_SCHEMA, and its number) is bad; null for a good one."""
    negatives = pl.col("negatives").fill_null([])
    compared = rows.select(
        "row", "teacher_scores", printed_list=_any_printed_list(),
        query=normalised(pl.col("query")), positive=normalised(pl.col("positive")),
        negatives=negatives.list.eval(
            normalised(pl.element().struct.field("text")).fill_null("")
        ),
    )  # fmt: skip
    is_known = pl.col("row").is_in(_rows_with_known_positives(compared).implode())
    return compared.select(_first_reason(is_known)).to_series()


def _first_reason(is_known: pl.Expr) -> pl.Expr:
    query, positive, negatives = pl.col("query"), pl.col("positive"), pl.col("negatives")
    scores = pl.col("teacher_scores").list.len() != pl.col("negatives").list.len() + 1
    tests: list[tuple[str, pl.Expr]] = [
        ("empty_query", query.fill_null("") == ""),
        ("empty_positive", positive.fill_null("") == ""),
        ("empty_negative", negatives.list.contains("")),
        ("list_as_string", pl.col("printed_list")),
        ("query_equals_positive", query == positive),
        ("query_equals_negative", negatives.list.contains(query)),
        ("positive_equals_negative", negatives.list.contains(positive)),
        ("negative_is_known_positive", is_known),
        ("wrong_number_of_teacher_scores", scores.fill_null(value=False)),
    ]
    return pl.coalesce(pl.when(test).then(pl.lit(reason)) for reason, test in tests)


def _rows_with_known_positives(rows: pl.DataFrame) -> pl.Series:
    """Row numbers (``row``) where a negative is a positive of the same query somewhere."""
    found = rows.select("row", "query", positive="negatives").explode("positive").join(
        rows.select("query", "positive").unique(), on=["query", "positive"], how="semi"
    )  # fmt: skip
    return found["row"].unique()


def _any_printed_list() -> pl.Expr:
    texts = pl.concat_list(
        pl.col("query"),
        pl.col("positive"),
        pl.col("negatives").list.eval(pl.element().struct.field("text")),
    )
    # The pattern is cheap and rejects nearly all; ast decides on the rest.
    is_printed = pl.element().str.contains(r"""^\s*\[\s*['"](?s:.*)['"]\s*,?\s*\]\s*$""")
    suspect = texts.list.eval(is_printed.fill_null(value=False)).list.any()
    parsed = texts.map_elements(_has_printed_list, return_dtype=pl.Boolean)
    return pl.when(suspect).then(parsed).otherwise(pl.lit(value=False))


def _has_printed_list(texts: pl.Series) -> bool:
    for text in texts.drop_nulls():
        if not text.lstrip().startswith("["):
            continue
        with suppress(ValueError, SyntaxError, MemoryError, RecursionError):
            value = ast.literal_eval(text.strip())
            if value and isinstance(value, list) and all(isinstance(item, str) for item in value):
                return True
    return False


def _described(schema: pl.Schema) -> str:
    return ", ".join(f"{name} {dtype}" for name, dtype in schema.items())
