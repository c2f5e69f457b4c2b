"""Our scores beside published ones: does this pipeline measure what others measured?"""

from collections.abc import Mapping
from typing import Any

import polars as pl

from gecko_kedro.base.errors import InputError, Words
from gecko_kedro.evaluation.comparing.settings import ParitySettings

PARITY_SCHEMA = pl.Schema(
    {
        "task": pl.String(),
        "type": pl.String(),
        "metric": pl.String(),
        "ours": pl.Float64(),  # in percent, as all scores here; null: not scored
        "published": pl.List(pl.Float64),  # one for each published run that has the task
        "difference": pl.Float64(),  # to the nearest published score
        "tolerance": pl.Float64(),
        "verdict": pl.String(),  # within, outside, no published score, not scored
    }
)


def parity_table(
    scores: pl.DataFrame,
    failures: pl.DataFrame,
    published: Mapping[str, Mapping[str, float]],
    settings: ParitySettings,
) -> pl.DataFrame:
    """PARITY_SCHEMA: each task's main score beside those of the runs in ``published``.

    A score is *within* when it is no further than the tolerance from the nearest of them. Failed
    tasks have a row too.
    """
    runs = settings.published
    if unknown := sorted(set(runs) - set(published)):
        raise InputError(
            "published scores", expected=f"names out of {sorted(published)}", got=unknown,
            fix="Correct parity.compare.published.",
        )  # fmt: skip
    rows: list[dict[str, Any]] = []
    for row in scores.filter("main").iter_rows(named=True):
        known = [published[run][row["task"]] for run in runs if row["task"] in published[run]]
        ours = 100 * row["score"]
        tolerance = settings.tolerance_by_task.get(
            row["task"], settings.tolerance_by_type.get(row["type"])
        )
        difference = min((ours - score for score in known), key=abs, default=None)
        if difference is None or tolerance is None:
            verdict = "no published score"
        else:  # published scores have two decimals here: half of the last one is allowed
            verdict = "within" if abs(difference) <= tolerance + 0.005 else "outside"
        rows.append(
            {
                "task": row["task"], "type": row["type"], "metric": row["metric"], "ours": ours,
                "published": known, "difference": difference, "tolerance": tolerance,
                "verdict": verdict,
            }
        )  # fmt: skip
    rows += [
        {"task": row["task"], "verdict": "not scored"}
        for row in failures.unique("task", maintain_order=True).iter_rows(named=True)
    ]
    return pl.DataFrame(rows, schema=PARITY_SCHEMA)


def require_parity(table: pl.DataFrame) -> None:
    """Raise ``InputError`` where a score is outside, or a task could not be scored."""
    bad = table.filter(pl.col("verdict").is_in(["outside", "not scored"]))
    if bad.is_empty() and not table.is_empty():
        return
    shown = [f"{row['task']}: {row['verdict']}" for row in bad.iter_rows(named=True)]
    raise InputError(
        "parity", expected="every score within its tolerance of a published one",
        got=shown or Words("no task was scored"),
        fix="Check that the local copies equal MTEB's, model, prompts, dtype and versions.",
    )  # fmt: skip
