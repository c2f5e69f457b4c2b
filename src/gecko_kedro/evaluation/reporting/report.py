"""One self-contained HTML page about a run: no network, everything from data escaped."""

import html
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import polars as pl
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.io import from_json

from gecko_kedro.corpus.schemas import OVERLAP_SCHEMA
from gecko_kedro.evaluation.comparing.comparison import OVERALL, Comparison
from gecko_kedro.evaluation.comparing.verdicts import CATEGORIES, THIS_RUN, metric_name, sentences
from gecko_kedro.evaluation.reporting import plots

_LISTED_OVERLAPS = 50  # rows; the table of the run has all
_OVERLAP_KEYS = ("where", "task", "column", "reason", "removed")
_NOTHING = "\u2013"  # an en dash, for what does not exist or was not measured
_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class NodeCost:
    """What one node of the run cost; None where it was not measured."""

    node: str
    seconds: float
    peak_memory_mb: float | None = None
    calls: int | None = None
    tokens: int | None = None


@dataclass(frozen=True)
class ReportContent:
    """All that the page shows; a section without data is left out.

    ``audit`` is what relabel tells of its labels: ``facts`` (label to number or text; the ones in
    ``shares`` are shown as percentages), ``rejected`` (fret.reject_examples), ``samples`` (rows of
    fret.LABEL_SAMPLE) and ``figures`` (plotly's JSON).
    """

    title: str
    created: str
    teacher: str | None = None
    notes: Sequence[str] = ()
    comparison: Comparison | None = None
    failures: pl.DataFrame | None = None  # FAILURES_SCHEMA
    categories: pl.DataFrame | None = None  # verdicts.CATEGORY_SCHEMA
    records: pl.DataFrame | None = None  # RECORDS_SCHEMA
    forgetting: pl.DataFrame | None = None  # forgetting.SWEEP_SCHEMA
    ablations: pl.DataFrame | None = None  # ablation.ABLATION_TABLE_SCHEMA
    audit: Mapping[str, Any] = field(default_factory=dict)
    corpus_counts: Mapping[str, int] = field(default_factory=dict)
    quarantine: Mapping[str, int] = field(default_factory=dict)
    histories: Mapping[str, pl.DataFrame] = field(default_factory=dict)  # training stage to HISTORY
    moved: pl.DataFrame | None = None  # moved.MOVED_SCHEMA
    decontamination: pl.DataFrame = field(default_factory=OVERLAP_SCHEMA.to_frame)
    costs: Sequence[NodeCost] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)


def write_report(content: ReportContent) -> str:
    """The page as HTML text. plotly.js lies in it once, and only if there is a figure."""
    import plotly.offline

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {
        "score": partial(_number, form=".4f"),
        "signed": lambda value: _number(value, form="+.4f").replace("-", "\u2212"),  # a true minus
        "count": partial(_number, form=",.0f"),
        "percent": lambda share: _number(None if share is None else 100 * share, form=".2f"),
        "fact": _fact,
        "metric": metric_name,
    }
    comparison, figures = content.comparison, _figures(content)
    moved, overlaps = _rows(content.moved), content.decontamination
    return environment.get_template("report.html.j2").render(
        content=content,
        verdicts=[] if comparison is None else sentences(comparison),
        key_figures=None if comparison is None else _key_figures(comparison),
        tasks=[] if comparison is None else list(_task_tables(comparison)),
        failures=_rows(content.failures),
        categories=_rows(content.categories),
        category_names=CATEGORIES,
        this_run=THIS_RUN,
        records=_rows(content.records),
        forgetting=_rows(content.forgetting),
        ablations=_rows(content.ablations),
        overlaps=_rows(overlaps)[:_LISTED_OVERLAPS],
        overlap_counts=overlaps.group_by(*_OVERLAP_KEYS, maintain_order=True).len().to_dicts(),
        gained=[query for query in moved if query["after"] > query["before"]],
        lost=[query for query in moved if query["after"] < query["before"]],
        parameters=list(_flat(content.parameters)),
        seconds=sum(cost.seconds for cost in content.costs),
        figures=figures,
        figure_json=_figure_json,
        figure_title=_figure_title,
        # plotly's own bundle is the only text that is not escaped.
        plotly_js=Markup(plotly.offline.get_plotlyjs()) if any(figures.values()) else None,
    )


def _figures(content: ReportContent) -> dict[str, list[go.Figure]]:
    """The figures of each section that show anything."""
    comparison, sweep, ablations = content.comparison, content.forgetting, content.ablations
    drawn = {
        "result": [] if comparison is None else [
            plots.dimension_curve(comparison), plots.group_differences(comparison)
        ],
        "training": [plots.loss_curves(content.histories)],
        "forgetting": [] if sweep is None else [plots.forgetting_curve(sweep)],
        "ablations": [] if ablations is None else [plots.ablation_differences(ablations)],
        "audit": [from_json(figure) for figure in content.audit.get("figures", ())],
    }  # fmt: skip
    return {part: [one for one in figures if one.data] for part, figures in drawn.items()}


def _key_figures(comparison: Comparison) -> dict[str, Any] | None:
    """Base and tuned at full width, over all tasks or on the only one, for the top of the page."""
    tasks = comparison.results["task"].to_list()
    shown = OVERALL if OVERALL in tasks else next(iter(tasks), None)
    first = comparison.results.filter(pl.col("task") == shown)
    rows = {
        part: next(first.filter(model=comparison.names[part]).iter_rows(named=True), None)
        for part in ("base", "tuned")
    }
    return rows if all(rows.values()) else None


def _task_tables(comparison: Comparison) -> Iterator[dict[str, Any]]:
    """For each task its rows and FRet's, each with the place of its interval in a drawing."""
    for (task,), results in comparison.results.group_by("task", maintain_order=True):
        fret = comparison.fret.filter(pl.col("task") == task)
        bounds = pl.concat([frame[name] for frame in (results, fret) for name in ("low", "high")])
        span = bounds.fill_nan(None).abs().max() or 1.0
        yield {
            "name": task,
            "metric": metric_name(results["metric"][0]),
            "ranked": results["recall_at_20"].is_not_null().any(),
            "results": [_with_drawing(row, span) for row in results.to_dicts()],
            "fret": [_with_drawing(row, span) for row in fret.to_dicts() if row["low"] is not None],
        }


def _with_drawing(row: dict[str, Any], span: Any) -> dict[str, Any]:
    """Adds ``drawing``: low, middle and high on a scale from 0 to 100 with zero at 50."""
    if row["low"] is None or math.isnan(row["low"]):
        return {**row, "drawing": None}
    places = [50 + 46 * row[name] / float(span) for name in ("low", "difference", "high")]
    return {**row, "drawing": [round(place, 2) for place in places]}


def _rows(table: pl.DataFrame | None) -> list[dict[str, Any]]:
    return [] if table is None else table.to_dicts()


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested parameters as ``("finetune.batch_size", "64")``, in their own order."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            shown = value if isinstance(value, str) else json.dumps(value, default=str)
            yield f"{prefix}{key}", shown


def _figure_json(figure: go.Figure) -> Markup:
    """The figure for a JSON script element: without ``<``, so that no data can close it."""
    text = figure.to_json()
    assert text is not None  # plotly's signature allows it, its code does not
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def _figure_title(figure: go.Figure) -> str:
    """Its title as plain text: plotly's own would be cut off on a phone."""
    return html.unescape(figure.layout.title.text or "")


def _number(value: float | None, *, form: str) -> str:
    if value is None or math.isnan(value):
        return _NOTHING
    return format(value, form)


def _fact(value: float | int | str, share: bool) -> str:
    if isinstance(value, str):
        return value
    if share:
        return f"{100 * value:.1f} %"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"
