"""Figures of the report, also previews in the catalog. Colours stay readable on light and dark.

Differences are shown with their 95 % intervals.
"""

from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go
import polars as pl

from gecko_kedro.evaluation.comparing.comparison import Comparison
from gecko_kedro.evaluation.comparing.verdicts import metric_name
from gecko_kedro.evaluation.scoring.score_table import BM25, HYBRID

COLOURS = {"base": "#8b93a1", "pretrained": "#d08c3f", "tuned": "#1f9d86", "other": "#6f7fd8"}
_MOST_GROUPS = 40
_BY_VERDICT = {"better": COLOURS["tuned"], "worse": "#cf5c60", "not shown": COLOURS["base"]}
_WITHOUT_DIMENSION = {BM25: ("BM25", "dot"), HYBRID: ("BM25 and tuned, fused", "dash")}


def dimension_curve(comparison: Comparison) -> go.Figure:
    """The main score over the dimension for each model of the first task.

    BM25 and the hybrid have no dimension and are lines over the whole width.
    """
    results = comparison.results
    task = str(results["task"].first())
    rows = results.filter(task=task).sort("dimension")
    with_dimension = rows.filter(pl.col("dimension").is_not_null())
    dimensions = with_dimension["dimension"].unique().sort().to_list()
    metric = metric_name(rows["metric"][0])
    figure = empty_figure(f"{metric} by dimension, {task}", "dimension", metric)
    parts = {name: part for part, name in comparison.names.items()}
    for (model,), points in with_dimension.group_by("model", maintain_order=True):
        whole, _, kept = str(model).partition("-")  # gecko-int8: the tuned model's vectors in int8
        part = parts.get(str(model), parts.get(whole, "other"))
        dash = {"int8": "dash", "binary": "dot"}.get(kept, "solid")
        figure.add_scatter(
            x=points["dimension"].to_list(), y=points["score"].to_list(), name=plain_text(model),
            mode="lines+markers", marker={"size": 8},
            line={"color": COLOURS[part], "width": 2.5, "dash": dash},
            hovertemplate="%{x} dimensions: %{y:.4f}",
        )  # fmt: skip
    for model, (name, dash) in _WITHOUT_DIMENSION.items():
        level = rows.filter(model=model)
        if level.is_empty() or not dimensions:
            continue
        figure.add_scatter(
            x=[dimensions[0], dimensions[-1]], y=[level["score"][0]] * 2, name=name,
            mode="lines", line={"color": COLOURS["other"], "width": 2, "dash": dash},
            hovertemplate="%{y:.4f}",
        )  # fmt: skip
    figure.update_xaxes(type="log", tickvals=dimensions, ticktext=[str(d) for d in dimensions])
    return figure


def loss_curves(histories: Mapping[str, pl.DataFrame]) -> go.Figure:
    """Training loss over the share of the run, one line for each history (HISTORY)."""
    figure = empty_figure("Training loss", "share of the training run", "loss")
    colours = [COLOURS["pretrained"], COLOURS["tuned"], COLOURS["other"], COLOURS["base"]]
    for index, (name, history) in enumerate(histories.items()):
        steps = history.filter(pl.col("loss").is_not_null()).sort("step")
        if steps.is_empty():
            continue
        figure.add_scatter(
            x=(steps["step"] / steps["step"].max()).to_list(), y=steps["loss"].to_list(),
            customdata=steps["step"].to_list(), mode="lines", name=plain_text(name),
            line={"color": colours[index % len(colours)], "width": 2},
            hovertemplate="step %{customdata}: %{y:.4f}",
        )  # fmt: skip
    figure.update_xaxes(tickformat=".0%")
    return figure


def plot_training(history: pl.DataFrame, *, title: str) -> go.Figure:
    """The loss curve of one training stage."""
    figure = loss_curves({title: history})
    return figure.update_layout(
        showlegend=False, title={"text": f"{plain_text(title)}: training loss"}
    )


def plain_text(name: object) -> str:
    """Data as plain text: plotly would read tags in it."""
    return str(name).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def empty_figure(title: str, x_title: str, y_title: str) -> go.Figure:
    """A figure without data, in the look of the report."""
    axis = {"gridcolor": "rgba(128,136,150,0.25)", "zeroline": False, "automargin": True}
    return go.Figure(
        layout={
            "title": {"text": plain_text(title), "x": 0, "xref": "paper", "font": {"size": 16}},
            "xaxis": {"title": {"text": x_title}, **axis},
            "yaxis": {"title": {"text": y_title}, **axis},
            "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
            "margin": {"l": 8, "r": 12, "t": 90, "b": 8},
            "height": 380,
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"family": "system-ui, sans-serif", "color": "#7a828f"},
            "showlegend": True,
        }
    )


def group_differences(comparison: Comparison) -> go.Figure:
    """Tuned minus base with its 95 % interval in each query group, the worst on top.

    The first task that has groups is shown; without any the figure has no traces. Beyond 40 groups
    the largest ones are shown; the title says so.
    """
    groups, title = comparison.by_group, "Difference to the base by group"
    if groups.is_empty():
        return empty_figure(title, "difference in nDCG@10", "")
    groups = groups.filter(task=groups["task"][0])
    shown = groups.sort("queries", "group", descending=[True, False]).head(_MOST_GROUPS)
    labels = [f"{plain_text(row['group'])} ({row['queries']:,})" for row in shown.to_dicts()]
    shown = shown.with_columns(label=pl.Series(labels)).sort("difference", "group")
    if groups.height > shown.height:
        title += f" (the {shown.height} largest of {groups.height:,})"
    figure = empty_figure(title, "difference in nDCG@10", "")
    for verdict, colour in _BY_VERDICT.items():
        rows = shown.filter(verdict=verdict)
        if not rows.is_empty():
            _dots(figure, rows, colour, name=verdict, hovertemplate="%{y}: %{x:+.4f}")
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
        spread = [_spread(row) for row in shown.to_dicts()]
        _dots(
            figure, shown, COLOURS["tuned"], scale=100, name="ours, 95 % interval",
            customdata=spread, hovertemplate="%{y}: %{x:+.2f}; %{customdata}",
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


def _dots(
    figure: go.Figure, rows: pl.DataFrame, colour: str, *, scale: float = 1, **more: Any
) -> None:
    """The differences of the rows with their intervals."""
    figure.add_scatter(
        x=(scale * rows["difference"]).to_list(), y=rows["label"].to_list(), mode="markers",
        error_x={**_bars(rows, scale=scale), "width": 0, "thickness": 2},
        marker={"color": colour, "size": 9}, **more,
    )  # fmt: skip


def _bars(rows: pl.DataFrame, *, scale: float = 1) -> dict[str, list[float]]:
    """From the difference to both bounds; 0 where there is no interval."""
    up, down = rows["high"] - rows["difference"], rows["difference"] - rows["low"]
    return {
        name: (scale * reach).fill_nan(0).fill_null(0).to_list()
        for name, reach in (("array", up), ("arrayminus", down))
    }


def _list(figure: go.Figure, labels: pl.Series) -> None:
    """The rows from top to bottom, and a line at no difference."""
    figure.update_yaxes(categoryorder="array", categoryarray=labels.to_list()[::-1])
    figure.add_vline(x=0, line={"color": COLOURS["base"], "width": 1})


def _spread(row: dict[str, Any]) -> str:
    deviation = "" if row["deviation"] is None else f", deviation {100 * row['deviation']:.2f}"
    return f"mean {100 * row['mean']:.2f} of {row['seeds']} seeds{deviation}; to {row['reference']}"
