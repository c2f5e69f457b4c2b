"""Ablations: rows that differ in a few settings, each trained with several seeds, compared."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import polars as pl

from gecko_kedro.evaluation.comparing.ablation_rows import AblationRow
from gecko_kedro.evaluation.comparing.bootstrap import Resampled, mean_of, resampled_difference
from gecko_kedro.evaluation.comparing.statistics import statistic_of
from gecko_kedro.evaluation.scoring.scoring_run import ScoreTable

# One trained model on all tasks: the main score of a task stands beside each of its queries.
RESULT_SCHEMA = pl.Schema(
    {
        "task": pl.String,
        "type": pl.String,
        "metric": pl.String,  # the task's main score
        "dimension": pl.Int64,
        "score": pl.Float64,  # 0 to 1 (correlations from -1)
        "query_id": pl.String,  # null where a task has no scores of single queries
        "query_score": pl.Float64,
        "gold": pl.Float64,  # as in PER_QUERY_SCHEMA
        "examples": pl.Int64,  # rows in the training mixture
        "steps": pl.Int64,  # optimiser steps done
    }
)
_OF_A_RUN = ("task", "type", "metric", "dimension", "score", "examples", "steps")
_OF_A_QUERY = ("task", "type", "dimension", "query_id", "query_score", "gold")
_RUN = {"row": pl.String(), "seed": pl.Int64()}
ABLATION_SCORES_SCHEMA = pl.Schema(_RUN | {name: RESULT_SCHEMA[name] for name in _OF_A_RUN})
ABLATION_PER_QUERY_SCHEMA = pl.Schema(_RUN | {name: RESULT_SCHEMA[name] for name in _OF_A_QUERY})
ABLATION_TABLE_SCHEMA = pl.Schema(
    {
        "row": pl.String,
        "description": pl.String,
        "task": pl.String,  # null, with all that follows but the note, where a row was left out
        "type": pl.String,
        "metric": pl.String,
        "dimension": pl.Int64,
        "seeds": pl.Int64,
        "mean": pl.Float64,  # over the seeds
        "deviation": pl.Float64,  # sample standard deviation; null for one seed
        "reference": pl.String,  # the row that this one is set against; null for none
        "difference": pl.Float64,  # of the means, with its 95 % interval over the queries
        "low": pl.Float64,
        "high": pl.Float64,
        "p": pl.Float64,
        "queries": pl.Int64,
        "groups": pl.Int64,
        "verdict": pl.String,
        "paper_difference": pl.Float64,  # null where the paper has none
        "source": pl.String,  # of the paper's difference
        "note": pl.String,
    }
)


def result_table(scores: ScoreTable, *, examples: int, steps: int) -> pl.DataFrame:
    """RESULT_SCHEMA of one model: what it scored, and how long it was trained."""
    keys = ["task", "dimension"]
    single = scores.per_query.select(
        *keys, "query_id", pl.col("score").alias("query_score"), "gold"
    )
    joined = (
        scores.scores.filter("main")
        .join(single, on=keys, how="left", maintain_order="left_right")
        .with_columns(examples=pl.lit(examples), steps=pl.lit(steps))
    )
    return joined.select(RESULT_SCHEMA.names()).cast(RESULT_SCHEMA)


def main_scores(results: pl.DataFrame) -> pl.DataFrame:
    """The main scores of ``results`` (RESULT_SCHEMA, further columns first): one row each."""
    more = [name for name in results.columns if name not in RESULT_SCHEMA]
    return results.select(*more, *_OF_A_RUN).unique(maintain_order=True)


def query_scores(results: pl.DataFrame) -> pl.DataFrame:
    """The scores of single queries of ``results``, where a task has them."""
    more = [name for name in results.columns if name not in RESULT_SCHEMA]
    return results.filter(pl.col("query_id").is_not_null()).select(*more, *_OF_A_QUERY)


def summarise_ablations(
    scores: pl.DataFrame,
    per_query: pl.DataFrame,
    groups: pl.DataFrame,
    rows: Mapping[str, AblationRow],
    *,
    notes: Mapping[str, str],
    resamples: int,
    seed: int,
) -> pl.DataFrame:
    """ABLATION_TABLE_SCHEMA: mean and spread of each row, and its difference to its reference.

    ``groups``: ``task, query_id, group``; a query that it lacks is its own. The difference is the
    mean over the seeds that both rows have, each seed against the same seed. Its interval is a
    paired bootstrap over groups of queries with the same draws for every seed: it says how the mean
    of *these* trainings would differ on other queries, and ``deviation`` how trainings differ.
    The paper's differences stand beside the largest dimension. ``notes``: row to what a reader
    must know of it, such as why it was left out.
    """
    widest = dict(scores.group_by("task").agg(pl.col("dimension").max()).iter_rows())
    found: list[dict[str, Any]] = []
    keys = ["task", "type", "metric", "dimension"]
    for name, row in rows.items():
        fixed = {
            "row": name, "description": row.description, "reference": row.reference,
            "note": notes.get(name),
        }  # fmt: skip
        of_row = scores.filter(row=name)
        if of_row.is_empty():
            found.append(fixed)
        for key, runs in of_row.group_by(keys, maintain_order=True):
            at = dict(zip(keys, key, strict=True))
            paper = row.paper.get(at["type"]) if at["dimension"] == widest[at["task"]] else None
            found.append(
                fixed
                | at
                | {
                    "seeds": runs.height,
                    "mean": runs["score"].mean(),
                    "deviation": runs["score"].std() if runs.height > 1 else None,
                    "paper_difference": None if paper is None else paper / 100,
                    "source": None if paper is None else row.source,
                }
                | _difference(name, row, at, scores, per_query, groups, resamples, seed)
            )
    return pl.DataFrame(found, schema=ABLATION_TABLE_SCHEMA)


def _difference(  # noqa: PLR0917
    name: str,
    row: AblationRow,
    at: Mapping[str, Any],
    scores: pl.DataFrame,
    per_query: pl.DataFrame,
    groups: pl.DataFrame,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """The difference to the reference; without scores of single queries it has no interval."""
    if row.reference is None:
        return {}
    place = {"task": at["task"], "dimension": at["dimension"]}
    both = (
        scores.filter(row=name, **place)
        .join(scores.filter(row=row.reference, **place), on="seed", suffix="_of_reference")
        .select("seed", difference=pl.col("score") - pl.col("score_of_reference"))
    )
    if both.is_empty():
        return {"note": f"no score of {row.reference} with the same seed"}
    parts = [
        _resampled(pairs, at["type"], resamples, seed)
        for pairs in _pairs(per_query.filter(**place), groups, name, row.reference)
    ]
    plain = {"difference": both["difference"].mean()}
    if len(parts) < both.height:
        return plain
    # Each seed has the same queries: they are not added up.
    interval = replace(mean_of(parts), queries=parts[0].queries, groups=parts[0].groups).interval()
    return plain | {
        "low": interval.low, "high": interval.high, "p": interval.p,
        "queries": interval.queries, "groups": interval.groups, "verdict": interval.verdict,
    }  # fmt: skip


def _pairs(
    per_query: pl.DataFrame, groups: pl.DataFrame, name: str, reference: str
) -> Iterator[pl.DataFrame]:
    """``query_id, a, b, gold, group`` of each seed that both rows have, in the same order."""
    ours = per_query.filter(row=name).select(
        "seed", "task", "query_id", pl.col("query_score").alias("a"), "gold"
    )
    theirs = per_query.filter(row=reference).select(
        "seed", "query_id", pl.col("query_score").alias("b")
    )
    joined = (
        ours.join(theirs, on=["seed", "query_id"])
        .join(groups.select("task", "query_id", "group"), on=["task", "query_id"], how="left")
        .with_columns(pl.coalesce("group", "query_id").alias("group"))
        .sort("seed", "query_id")
    )
    yield from joined.partition_by("seed", maintain_order=True)


def _resampled(pairs: pl.DataFrame, kind: str, resamples: int, seed: int) -> Resampled:
    return resampled_difference(
        pairs["a"].to_numpy(), pairs["b"].to_numpy(), pairs["group"].to_list(),
        resamples=resamples, seed=seed, statistic=statistic_of(kind),
        gold=pairs["gold"].to_numpy(),
    )  # fmt: skip


def ablation_metrics(table: pl.DataFrame) -> dict[str, float]:
    """``recipe.heldout.384.mean`` and so on: all numbers of the table that there are."""
    names = ("mean", "deviation", "difference", "low", "high", "paper_difference")
    return {
        f"{one['row']}.{one['task']}.{one['dimension']}.{name}".replace(" ", "_"): one[name]
        for one in table.iter_rows(named=True)
        for name in names
        if one[name] is not None and not math.isnan(one[name])
    }


def ablations_of(record: Mapping[str, Any]) -> pl.DataFrame:
    """ABLATION_TABLE_SCHEMA again out of ``{"rows": [...]}``; no rows where none was made."""
    return pl.DataFrame(record.get("rows", []), schema=ABLATION_TABLE_SCHEMA)


def ablation_text(table: pl.DataFrame) -> str:
    """The summary for a terminal, in points."""
    shown = table.filter(pl.col("task").is_not_null())
    lines = [
        f"{'row':<24} {'task':<22} {'dim':>4} {'mean':>6} {'sd':>5} {'diff':>6} "
        f"{'95 % interval':>16} {'paper':>6}"
    ]
    for one in shown.iter_rows(named=True):
        interval = (
            "" if one["low"] is None else f"[{100 * one['low']:+.2f}, {100 * one['high']:+.2f}]"
        )
        lines.append(
            f"{one['row']:<24} {one['task']:<22} {one['dimension']:>4} {_points(one['mean']):>6} "
            f"{_points(one['deviation']):>5} {_points(one['difference'], '+'):>6} "
            f"{interval:>16} {_points(one['paper_difference'], '+'):>6}"
        )
    lines += [
        f"{one['row']}: {one['note']}"
        for one in table.filter(pl.col("note").is_not_null())
        .unique(["row", "note"], maintain_order=True)
        .iter_rows(named=True)
    ]
    return "\n".join(lines)


def _points(value: float | None, sign: str = "") -> str:
    return "" if value is None else f"{100 * value:{sign}.2f}"
