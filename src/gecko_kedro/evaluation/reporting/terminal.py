"""The results as text for a terminal: aligned, at most 100 columns."""

from collections.abc import Mapping

import polars as pl

from gecko_kedro.evaluation.comparing.comparison import Comparison
from gecko_kedro.evaluation.comparing.verdicts import CATEGORIES, THIS_RUN, metric_name

_NAME_WIDTH = 22
_SHORT = {
    "Classification": "Class", "Clustering": "Clust", "PairClassification": "Pair",
    "Reranking": "Rerank", "Retrieval": "Retr", "Summarization": "Summ",
}  # fmt: skip


def as_text(
    comparison: Comparison,
    *,
    categories: pl.DataFrame | None = None,
    failures: pl.DataFrame | None = None,
) -> str:
    """A block for each task, under it what fine-tuning adds; then the categories, what failed.

    ``categories``: ``category_table``; shown where tasks of more than one category were scored.
    ``failures``: FAILURES_SCHEMA.
    """
    blocks = []
    for (task,), rows in comparison.results.group_by("task", maintain_order=True):
        header = _header(rows["metric"][0])
        lines = [str(task), header, "-" * len(header)]
        lines += [_result_line(row) for row in rows.iter_rows(named=True)]
        fret = comparison.fret.filter((pl.col("task") == task) & pl.col("low").is_not_null())
        if not fret.is_empty():
            lines += ["", f"What fine-tuning adds ({fret['model'][0]} minus {fret['against'][0]})"]
            lines += [_difference_line(row) for row in fret.iter_rows(named=True)]
        blocks.append("\n".join(line.rstrip() for line in lines))
    if categories is not None and comparison.results["type"].n_unique() > 2:
        blocks.append(_category_block(categories))
    if failures is not None and not failures.is_empty():
        blocks.append(_failure_block(failures))
    return "\n\n".join(blocks)


def _header(metric: str) -> str:
    named = metric_name(metric)
    shown = named if len(named) <= 9 else "score"
    return (
        f"{'model':<{_NAME_WIDTH}} {'dim':>5} {shown:>9} {'recall@20':>10} "
        f"{'vs base':>8}  {'95 % interval':<17} {'p':>7}  verdict"
    )


def _result_line(row: Mapping[str, object]) -> str:
    dimension = "" if row["dimension"] is None else row["dimension"]
    recall = "" if row["recall_at_20"] is None else f"{row['recall_at_20']:.4f}"
    return (
        f"{_short(row['model'])} {dimension:>5} {row['score']:>9.4f} "
        f"{recall:>10} {_difference(row)}"
    )


def _difference_line(row: Mapping[str, object]) -> str:
    return f"{_short('')} {row['dimension']:>5} {'':>9} {'':>10} {_difference(row)}"


def _difference(row: Mapping[str, object]) -> str:
    if row["difference"] is None:
        return ""
    interval = f"{row['low']:+.4f} .. {row['high']:+.4f}"
    return f"{row['difference']:>+8.4f}  {interval:<17} {row['p']:>7.4f}  {row['verdict']}"


def _category_block(categories: pl.DataFrame) -> str:
    heads = " ".join(f"{_SHORT.get(name, name):>6}" for name in (*CATEGORIES, "all"))
    lines = ["Means by category, in percent (* the paper's own: other size, data and tasks)",
             f"{'model':<{_NAME_WIDTH}} {'dim':>5} {heads} {'tasks':>5}"]  # fmt: skip
    lines.append("-" * len(lines[1]))
    for row in categories.iter_rows(named=True):
        cells = " ".join(
            f"{'' if row[name] is None else format(100 * row[name], '.2f'):>6}"
            for name in (*CATEGORIES, "all")
        )
        star = "" if row["source"] == THIS_RUN else "* "
        lines.append(f"{_short(star + row['model'])} {row['dimension'] or '':>5} {cells} "
                     f"{row['tasks']:>5}")  # fmt: skip
    return "\n".join(lines)


def _failure_block(failures: pl.DataFrame) -> str:
    lines = ["Without a result"]
    for row in failures.iter_rows(named=True):
        lines.append(f"{row['status']}: {row['task']}, {row['model']}: {row['error']}"[:100])
    return "\n".join(lines)


def _short(name: object) -> str:
    text = str(name)
    shown = text if len(text) <= _NAME_WIDTH else text[: _NAME_WIDTH - 1] + "…"
    return f"{shown:<{_NAME_WIDTH}}"
