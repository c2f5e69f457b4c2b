"""Figures of the report, also previews in the catalog. Colours stay readable on light and dark."""

from collections.abc import Mapping

import plotly.graph_objects as go
import polars as pl

from gecko_kedro.evaluation.comparing.comparison import Comparison
from gecko_kedro.evaluation.comparing.verdicts import metric_name
from gecko_kedro.evaluation.scoring.score_table import BM25, HYBRID

COLOURS = {"base": "#8b93a1", "pretrained": "#d08c3f", "tuned": "#1f9d86", "other": "#6f7fd8"}
_WITHOUT_DIMENSION = {BM25: ("BM25", "dot"), HYBRID: ("BM25 and tuned, fused", "dash")}


def dimension_curve(comparison: Comparison, *, task: str | None = None) -> go.Figure:
    """The main score over the dimension for each model of ``task`` (the first one when None).

    BM25 and the hybrid have no dimension and are lines over the whole width.
    """
    results = comparison.results
    task = str(results["task"].first()) if task is None else task
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
