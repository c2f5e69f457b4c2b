"""What the diversity controls came to, and why replies and queries were rejected."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import polars as pl

from gecko_kedro.fret.controls import AXES, Inventory, length_of
from gecko_kedro.fret.settings import WriteSettings

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def share_report(
    queries: pl.DataFrame, inventory: Inventory, settings: WriteSettings = WriteSettings()
) -> dict[str, float]:
    """Shares of the kept synthetic ``queries`` (QUERY).

    ``wanted_<axis>.<name>``: for which it was wanted; ``got_length.<name>``: that have this length;
    ``got_task.<short name>``: that map to it; ``followed_task``: whose own task maps to the short
    name of the kind that was wanted; ``followed_length``: of the wanted length. Difficulty cannot
    be measured here. Empty without queries.
    """
    synthetic = queries.filter(pl.col("origin") == "synthetic")
    counts: dict[str, int] = {}
    for query_id, task_name, query in synthetic.select("query_id", "task_name", "query").rows():
        wanted = inventory.draw(query_id, settings.shares, seed=settings.seed)
        got = length_of(query)
        names = [f"wanted_{axis}.{name}" for axis in AXES if (name := getattr(wanted, axis))]
        names += [f"got_length.{got}", f"got_task.{task_name}"]
        if wanted.task is not None and inventory.task[wanted.task].task_name == task_name:
            names.append("followed_task")
        if wanted.length == got:
            names.append("followed_length")
        for name in names:
            counts[name] = counts.get(name, 0) + 1
    return {name: counts[name] / synthetic.height for name in sorted(counts)}


def query_plot(report: Mapping[str, float], rejected: Mapping[str, int]) -> "Figure":
    """Wanted and got shares of tasks and lengths, and the number of rejects by reason."""
    from plotly.subplots import make_subplots

    titles = ("kinds of task", "lengths", "rejected")
    figure = make_subplots(rows=1, cols=3, subplot_titles=titles)
    for column, axis in ((1, "task"), (2, "length")):
        for part, colour in (("wanted", "#8b93a1"), ("got", "#1f9d86")):
            own = {
                name.split(".", 1)[1]: share
                for name, share in report.items()
                if name.startswith(f"{part}_{axis}.")
            }
            figure.add_bar(
                x=list(own), y=list(own.values()), name=part, marker_color=colour,
                legendgroup=part, showlegend=column == 1, row=1, col=column,
            )  # fmt: skip
    figure.add_bar(
        x=list(rejected), y=list(rejected.values()), name="rejected", marker_color="#d0563f",
        showlegend=False, row=1, col=3,
    )  # fmt: skip
    figure.update_layout(title="The synthetic queries", template="plotly_white")
    return figure
