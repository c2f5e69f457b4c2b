"""Ablations: rows that differ in a few settings, each trained with several seeds, compared."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import polars as pl

from gecko_kedro.evaluation.comparing.bootstrap import INTERVAL_COLUMNS, mean_of, paired, resampled
from gecko_kedro.evaluation.comparing.settings import AblationRow
from gecko_kedro.evaluation.scoring.score_table import ScoreTable

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
        **INTERVAL_COLUMNS,  # of the difference of the means, over the queries
        "paper_difference": pl.Float64,  # null where the paper has none
        "source": pl.String,  # of the paper's difference
        "note": pl.String,
    }
)


def result_table(scores: ScoreTable, *, examples: int, steps: int) -> pl.DataFrame:
    """RESULT_SCHEMA of one model: what it scored, and how long it was trained."""
    keys = ["task", "dimension"]
    single = scores.per_query.select(*keys, "query_id", "gold", query_score="score")
    joined = scores.scores.filter("main").join(
        single, on=keys, how="left", maintain_order="left_right"
    )
    counted = joined.with_columns(examples=pl.lit(examples), steps=pl.lit(steps))
    return counted.select(RESULT_SCHEMA.names()).cast(RESULT_SCHEMA)


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
    single = per_query.rename({"query_score": "score"})
    keys = ["task", "type", "metric", "dimension"]
    found: list[dict[str, Any]] = []

    def difference(name: str, reference: str, at: Mapping[str, Any]) -> dict[str, Any]:
        """Without scores of single queries it has no interval."""
        place = {"task": at["task"], "dimension": at["dimension"]}
        ours, theirs = (scores.filter(row=row, **place) for row in (name, reference))
        both = ours.join(theirs, on="seed", suffix="_of_reference")
        if both.is_empty():
            return {"note": f"no score of {reference} with the same seed"}
        plain = {"difference": (both["score"] - both["score_of_reference"]).mean()}
        own, other = (single.filter(row=row, **place) for row in (name, reference))
        pairs = paired(own, other, groups, on=("seed", "task", "query_id"))
        parts = [
            resampled(of_seed, at["type"], resamples=resamples, seed=seed)
            for of_seed in pairs.partition_by("seed", maintain_order=True)
        ]
        if len(parts) < both.height:
            return plain
        # Each seed has the same queries: they are not added up.
        mean = replace(mean_of(parts), queries=parts[0].queries, groups=parts[0].groups)
        return mean.interval().columns() | plain

    for name, row in rows.items():
        fixed = row.model_dump(include={"description", "reference"})
        fixed |= {"row": name, "note": notes.get(name)}
        of_row = scores.filter(row=name)
        if of_row.is_empty():
            found.append(fixed)
        for key, runs in of_row.group_by(keys, maintain_order=True):
            at = dict(zip(keys, key, strict=True))
            spread = {"seeds": runs.height, "mean": runs["score"].mean(),
                      "deviation": runs["score"].std()}  # fmt: skip
            paper = row.paper.get(at["type"]) if at["dimension"] == widest[at["task"]] else None
            if paper is not None:
                spread |= {"paper_difference": paper / 100, "source": row.source}
            gain = {} if row.reference is None else difference(name, row.reference, at)
            found.append(fixed | at | spread | gain)
    return pl.DataFrame(found, schema=ABLATION_TABLE_SCHEMA)


def ablation_metrics(table: pl.DataFrame) -> dict[str, float]:
    """``recipe.heldout.384.mean`` and so on: all numbers of the table that there are."""
    names = ("mean", "deviation", "difference", "low", "high", "paper_difference")
    return {
        f"{one['row']}.{one['task']}.{one['dimension']}.{name}".replace(" ", "_"): one[name]
        for one in table.iter_rows(named=True)
        for name in names
        if one[name] is not None and not math.isnan(one[name])
    }
