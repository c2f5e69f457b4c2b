"""The results as text for a terminal: aligned, those of the road in at most 100 columns."""

from collections.abc import Mapping, Sequence
from typing import Any

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
        fret = comparison.fret.filter((pl.col("task") == task) & pl.col("low").is_not_null())
        blocks.append(_task_block(str(task), rows.to_dicts(), fret.to_dicts()))
    if categories is not None and comparison.results["type"].n_unique() > 2:
        blocks.append(_category_block(categories))
    if failures is not None and not failures.is_empty():
        lines = [f"{row['status']}: {row['task']}, {row['model']}: {row['error']}"[:100]
                 for row in failures.iter_rows(named=True)]  # fmt: skip
        blocks.append("\n".join(["Without a result", *lines]))
    return "\n\n".join(blocks)


def ablation_text(table: pl.DataFrame) -> str:
    """ABLATION_TABLE_SCHEMA in points, and below it the notes."""
    rows = [("row", "task", "dim", "mean", "sd", "diff", "95 % interval", "paper")]
    rows += [
        (one["row"], one["task"], str(one["dimension"]), _shown(one["mean"]),
         _shown(one["deviation"]), _shown(one["difference"], "+.2f"),
         _interval(one, "+.2f", scale=100), _shown(one["paper_difference"], "+.2f"))
        for one in table.filter(pl.col("task").is_not_null()).iter_rows(named=True)
    ]  # fmt: skip
    noted = table.filter(pl.col("note").is_not_null()).unique(["row", "note"], maintain_order=True)
    notes = [f"{one['row']}: {one['note']}" for one in noted.iter_rows(named=True)]
    return "\n".join([*_aligned(rows, "<<>>>>>>"), *notes])


def parity_text(table: pl.DataFrame) -> str:
    """PARITY_SCHEMA, in percent."""
    rows = [("task", "ours", "published", "difference", "allowed", "verdict")]
    rows += [
        (one["task"], _shown(one["ours"], scale=1),
         " ".join(f"{score:.2f}" for score in one["published"] or ()),
         _shown(one["difference"], "+.2f", scale=1), _shown(one["tolerance"], scale=1),
         one["verdict"])
        for one in table.iter_rows(named=True)
    ]  # fmt: skip
    return "\n".join(["our scores beside published ones, in percent", *_aligned(rows, "<><>><")])


def label_quality_text(table: pl.DataFrame) -> str:
    """LABEL_QUALITY_SCHEMA."""
    rows = [("ranking", "measure", "mean", "difference", "95 % interval")]
    rows += [
        (one["ranking"], one["measure"], f"{one['mean']:.3f}", f"{one['difference']:+.3f}",
         _interval(one, "+.3f"))
        for one in table.iter_rows(named=True)
    ]  # fmt: skip
    return "\n".join(_aligned(rows, "<<>>>"))


def _task_block(
    task: str, results: Sequence[Mapping[str, Any]], fret: Sequence[Mapping[str, Any]]
) -> str:
    metric = metric_name(results[0]["metric"])
    header = ("model", "dim", metric if len(metric) <= 9 else "score", "recall@20", "vs base",
              "95 % interval", "p", "verdict")  # fmt: skip
    named = [
        (_short(row["model"]), str(row["dimension"] or ""), f"{row['score']:.4f}",
         _shown(row["recall_at_20"], ".4f", scale=1), *_difference(row))
        for row in results
    ]  # fmt: skip
    gains = [("", str(row["dimension"]), "", "", *_difference(row)) for row in fret]
    lines = _aligned([header, *named, *gains], "<>>>><><")
    lines.insert(1, "-" * len(lines[0]))
    if gains:
        added = f"What fine-tuning adds ({fret[0]['model']} minus {fret[0]['against']})"
        lines[2 + len(named) : 2 + len(named)] = ["", added]
    return "\n".join([task, *lines])


def _difference(row: Mapping[str, Any]) -> tuple[str, str, str, str]:
    difference, low, high = (_shown(row[n], "+.4f", scale=1) for n in ("difference", "low", "high"))
    interval = f"{low} .. {high}" if low else ""
    return difference, interval, _shown(row["p"], ".4f", scale=1), row["verdict"] or ""


def _category_block(categories: pl.DataFrame) -> str:
    names = (*CATEGORIES, "all")
    rows = [("model", "dim", *(_SHORT.get(name, name) for name in names), "tasks")]
    rows += [
        (_short("* " * (row["source"] != THIS_RUN) + row["model"]), str(row["dimension"] or ""),
         *(_shown(row[name]) for name in names), str(row["tasks"]))
        for row in categories.iter_rows(named=True)
    ]  # fmt: skip
    head = "Means by category, in percent (* the paper's own: other size, data and tasks)"
    lines = _aligned(rows, "<" + ">" * (len(names) + 2), gap=1)
    return "\n".join([head, lines[0], "-" * len(lines[0]), *lines[1:]])


def _aligned(rows: Sequence[Sequence[str]], sides: str, *, gap: int = 2) -> list[str]:
    """A line for each row; each column on its side (``<``, ``>``), as wide as its longest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        (" " * gap)
        .join(f"{cell:{side}{n}}" for cell, side, n in zip(row, sides, widths, strict=True))
        .rstrip()
        for row in rows
    ]


def _shown(value: float | None, form: str = ".2f", *, scale: float = 100) -> str:
    return "" if value is None else format(scale * value, form)


def _interval(row: Mapping[str, Any], form: str, *, scale: float = 1) -> str:
    low, high = (_shown(row[bound], form, scale=scale) for bound in ("low", "high"))
    return f"[{low}, {high}]" if low else ""


def _short(name: str) -> str:
    return name if len(name) <= _NAME_WIDTH else name[: _NAME_WIDTH - 1] + "…"
