"""Ablations: rows that differ in a few settings, each trained with several seeds, compared."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from gecko_kedro.evaluation.comparing.ablation_rows import AblationRow
from gecko_kedro.evaluation.comparing.bootstrap import mean_of
from gecko_kedro.evaluation.comparing.paired import INTERVAL_COLUMNS, paired, resampled
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
    results = _Results(scores, per_query, groups, resamples, seed)
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
            spread = {
                "seeds": runs.height,
                "mean": runs["score"].mean(),
                "deviation": runs["score"].std() if runs.height > 1 else None,
                "paper_difference": None if paper is None else paper / 100,
                "source": None if paper is None else row.source,
            }
            difference = (
                {} if row.reference is None else results.difference(name, row.reference, at)
            )
            found.append(fixed | at | spread | difference)
    return pl.DataFrame(found, schema=ABLATION_TABLE_SCHEMA)


@dataclass(frozen=True)
class _Results:
    """All scores of an ablation, and how differences are resampled."""

    scores: pl.DataFrame
    per_query: pl.DataFrame
    groups: pl.DataFrame
    resamples: int
    seed: int

    def difference(self, name: str, reference: str, at: Mapping[str, Any]) -> dict[str, Any]:
        """The row against its reference; without scores of single queries it has no interval."""
        place = {"task": at["task"], "dimension": at["dimension"]}
        ours, theirs = (self.scores.filter(row=row, **place) for row in (name, reference))
        both = ours.join(theirs, on="seed", suffix="_of_reference")
        if both.is_empty():
            return {"note": f"no score of {reference} with the same seed"}
        plain = {"difference": (both["score"] - both["score_of_reference"]).mean()}
        single = self.per_query.filter(**place).rename({"query_score": "score"})
        pairs = paired(
            single.filter(row=name), single.filter(row=reference), self.groups,
            on=("seed", "task", "query_id"),
        )  # fmt: skip
        parts = [
            resampled(of_seed, at["type"], resamples=self.resamples, seed=self.seed)
            for of_seed in pairs.partition_by("seed", maintain_order=True)
        ]
        if len(parts) < both.height:
            return plain
        # Each seed has the same queries: they are not added up.
        mean = replace(mean_of(parts), queries=parts[0].queries, groups=parts[0].groups)
        return mean.interval().columns() | plain


def ablation_metrics(table: pl.DataFrame) -> dict[str, float]:
    """``recipe.heldout.384.mean`` and so on: all numbers of the table that there are."""
    names = ("mean", "deviation", "difference", "low", "high", "paper_difference")
    return {
        f"{one['row']}.{one['task']}.{one['dimension']}.{name}".replace(" ", "_"): one[name]
        for one in table.iter_rows(named=True)
        for name in names
        if one[name] is not None and not math.isnan(one[name])
    }
