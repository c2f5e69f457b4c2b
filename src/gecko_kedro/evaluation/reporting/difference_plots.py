"""Figures of differences with their 95 % intervals: by group, ablation, weight and ranking."""

from typing import Any

import plotly.graph_objects as go
import polars as pl

from gecko_kedro.evaluation.comparing.comparison import Comparison
from gecko_kedro.evaluation.comparing.verdicts import metric_name
from gecko_kedro.evaluation.reporting.plots import COLOURS, empty_figure, plain_text

_MOST_GROUPS = 40
_BY_VERDICT = {"better": COLOURS["tuned"], "worse": "#cf5c60", "not shown": COLOURS["base"]}


def group_differences(comparison: Comparison, *, task: str | None = None) -> go.Figure:
    """Tuned minus base with its 95 % interval in each query group of ``task``, the worst on top.

    ``task`` None: the first that has groups; without any the figure has no traces. Beyond 40
    groups the largest ones are shown; the title says so.
    """
    groups = comparison.by_group
    if groups.is_empty():
        return empty_figure("Difference to the base by group", "difference in nDCG@10", "")
    groups = groups.filter(task=groups["task"][0] if task is None else task)
    shown = groups.sort("queries", "group", descending=[True, False]).head(_MOST_GROUPS)
    labels = [f"{plain_text(row['group'])} ({row['queries']:,})" for row in shown.to_dicts()]
    shown = shown.with_columns(label=pl.Series(labels)).sort("difference", "group")
    title = "Difference to the base by group"
    if groups.height > shown.height:
        title += f" (the {shown.height} largest of {groups.height:,})"
    figure = empty_figure(title, "difference in nDCG@10", "")
    for verdict, colour in _BY_VERDICT.items():
        rows = shown.filter(verdict=verdict)
        if rows.is_empty():
            continue
        figure.add_scatter(
            x=rows["difference"].to_list(), y=rows["label"].to_list(),
            error_x={**_bars(rows), "width": 0, "thickness": 2},
            mode="markers", name=verdict, marker={"color": colour, "size": 9},
            hovertemplate="%{y}: %{x:+.4f}",
        )  # fmt: skip
    _list(figure, shown["label"])
    return figure.update_layout(height=150 + 26 * max(shown.height, 4))


def ablation_differences(table: pl.DataFrame) -> go.Figure:
    """Each row's difference to its reference at the largest dimension, in points, with interval.

    ``table``: ABLATION_TABLE_SCHEMA. The paper's difference is a diamond of its own where there is
    one: of another model, on other data and tasks. With several tasks each has a line of its own.
    """
    figure = empty_figure("Ablations: difference to the reference row", "points", "")
    known = table.filter(pl.col("difference").is_not_null())
    shown = known.filter(pl.col("dimension") == pl.col("dimension").max().over("task"))
    several = shown["task"].n_unique() > 1
    labels = [row["row"] + f", {row['task']}" * several for row in shown.to_dicts()]
    shown = shown.with_columns(label=pl.Series(map(plain_text, labels), dtype=pl.String))
    papers = shown.filter(pl.col("paper_difference").is_not_null())
    if not shown.is_empty():
        figure.add_scatter(
            x=(100 * shown["difference"]).to_list(), y=shown["label"].to_list(),
            error_x={**_bars(shown, scale=100), "width": 0, "thickness": 2},
            customdata=[_spread(row) for row in shown.to_dicts()],
            mode="markers", name="ours, 95 % interval",
            marker={"color": COLOURS["tuned"], "size": 9},
            hovertemplate="%{y}: %{x:+.2f}; %{customdata}",
        )  # fmt: skip
    if not papers.is_empty():
        figure.add_scatter(
            x=(100 * papers["paper_difference"]).to_list(), y=papers["label"].to_list(),
            customdata=list(map(plain_text, papers["source"])),
            mode="markers", name="the paper's own (other model, data and tasks)",
            marker={"color": COLOURS["pretrained"], "size": 11, "symbol": "diamond"},
            hovertemplate="%{y}: %{x:+.2f}; %{customdata}",
        )  # fmt: skip
    _list(figure, shown["label"])
    return figure.update_layout(height=170 + 30 * max(shown.height, 3))


def forgetting_curve(table: pl.DataFrame) -> go.Figure:
    """The difference to the base over the weight, a line for each task, on the side *report*.

    ``table``: SWEEP_SCHEMA.
    """
    figure = empty_figure(
        "Between base and tuned", "weight of the tuned model", "difference to the base"
    )
    shown = table.filter(side="report").sort("weight")
    for (task, kind), points in shown.group_by("task", "kind", maintain_order=True):
        name = f"{task} ({kind}), {metric_name(points['metric'][0])}"
        figure.add_scatter(
            x=points["weight"].to_list(), y=points["difference"].to_list(), name=plain_text(name),
            mode="lines+markers",
            line={"dash": "dot" if kind == "general" else "solid", "width": 2.5},
            error_y={**_bars(points), "thickness": 1, "width": 3},
            hovertemplate="%{x}: %{y:+.4f}",
        )  # fmt: skip
    for weight in table.filter("chosen")["weight"].unique().to_list():
        figure.add_vline(x=weight, line={"dash": "dash", "width": 1, "color": COLOURS["base"]})
    return figure


def label_quality_plot(table: pl.DataFrame) -> go.Figure:
    """The difference of each ranking from the retriever's own, with its interval.

    ``table``: LABEL_QUALITY_SCHEMA.
    """
    title = "The labeller's rankings against the retriever's own"
    figure = empty_figure(title, "difference, with 95 % interval", "")
    for measure, label in (("ndcg_at_10", "nDCG@10"), ("accuracy", "accuracy of the positive")):
        rows = table.filter(measure=measure)[1:]  # the first is the retriever itself
        figure.add_scatter(
            x=rows["difference"].to_list(), y=rows["ranking"].to_list(), name=label,
            error_x=_bars(rows), mode="markers",
        )  # fmt: skip
    return figure.add_vline(x=0)


def _bars(rows: pl.DataFrame, *, scale: float = 1) -> dict[str, list[float]]:
    """From the difference to both bounds; 0 where there is no interval."""
    up, down = rows["high"] - rows["difference"], rows["difference"] - rows["low"]
    return {
        name: (scale * reach).fill_nan(0).fill_null(0).to_list()
        for name, reach in (("array", up), ("arrayminus", down))
    }


def _list(figure: go.Figure, labels: pl.Series) -> None:
    """The rows from top to bottom, and a line at no difference."""
    figure.update_yaxes(
        categoryorder="array", categoryarray=labels.to_list()[::-1], automargin=True
    )
    figure.add_vline(x=0, line={"color": COLOURS["base"], "width": 1})


def _spread(row: dict[str, Any]) -> str:
    deviation = "" if row["deviation"] is None else f", deviation {100 * row['deviation']:.2f}"
    return f"mean {100 * row['mean']:.2f} of {row['seeds']} seeds{deviation}; to {row['reference']}"
