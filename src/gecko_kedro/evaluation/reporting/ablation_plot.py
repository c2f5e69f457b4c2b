"""The figure of an ablation: our differences beside the paper's."""

import math
from typing import Any

import plotly.graph_objects as go
import polars as pl

from gecko_kedro.evaluation.reporting.plots import empty_figure, plain_text

_OURS, _PAPER, _ZERO = "#1f9d86", "#d08c3f", "#8b93a1"


def ablation_differences(table: pl.DataFrame) -> go.Figure:
    """Each row's difference to its reference at the largest dimension, in points, with interval.

    ``table``: ABLATION_TABLE_SCHEMA. The paper's difference is a diamond of its own where there is
    one: of another model, on other data and tasks. With several tasks each has a line of its own.
    """
    figure = empty_figure("Ablations: difference to the reference row", "points", "")
    known = table.filter(pl.col("difference").is_not_null())
    shown = known.filter(pl.col("dimension") == pl.col("dimension").max().over("task"))
    several = shown["task"].n_unique() > 1
    rows = [row | {"label": _label(row, several)} for row in shown.to_dicts()]
    if rows:
        figure.add_scatter(
            x=[100 * row["difference"] for row in rows], y=[row["label"] for row in rows],
            error_x={
                "array": [_reach(row, "high") for row in rows],
                "arrayminus": [-_reach(row, "low") for row in rows],
                "width": 0, "thickness": 2,
            },
            customdata=[_spread(row) for row in rows],
            mode="markers", name="ours, 95 % interval", marker={"color": _OURS, "size": 9},
            hovertemplate="%{y}: %{x:+.2f}; %{customdata}",
        )  # fmt: skip
    papers = [row for row in rows if row["paper_difference"] is not None]
    if papers:
        figure.add_scatter(
            x=[100 * row["paper_difference"] for row in papers],
            y=[row["label"] for row in papers],
            customdata=[plain_text(row["source"]) for row in papers],
            mode="markers", name="the paper's own (other model, data and tasks)",
            marker={"color": _PAPER, "size": 11, "symbol": "diamond"},
            hovertemplate="%{y}: %{x:+.2f}; %{customdata}",
        )  # fmt: skip
    figure.update_yaxes(
        categoryorder="array", categoryarray=[row["label"] for row in rows][::-1], automargin=True
    )
    figure.add_vline(x=0, line={"color": _ZERO, "width": 1})
    return figure.update_layout(height=170 + 30 * max(len(rows), 3))


def _label(row: dict[str, Any], several: bool) -> str:
    name = plain_text(row["row"])
    return f"{name}, {plain_text(row['task'])}" if several else name


def _reach(row: dict[str, Any], bound: str) -> float:
    """From the difference to the bound, in points; 0 where there is no interval."""
    value = row[bound]
    known = value is not None and not math.isnan(value)
    return 100 * (value - row["difference"]) if known else 0.0


def _spread(row: dict[str, Any]) -> str:
    deviation = "" if row["deviation"] is None else f", deviation {100 * row['deviation']:.2f}"
    return f"mean {100 * row['mean']:.2f} of {row['seeds']} seeds{deviation}; to {row['reference']}"
