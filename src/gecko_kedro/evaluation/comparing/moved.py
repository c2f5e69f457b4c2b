"""Single queries to look at: what training moved most."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from gecko_kedro.evaluation.comparing.comparison import Comparison
from gecko_kedro.evaluation.scoring.scoring_run import ScoreTable
from gecko_kedro.evaluation.tasks.retrieval import RetrievalData

MOVED_SCHEMA = pl.Schema(
    {
        "task": pl.String(),
        "query_id": pl.String(),
        "query": pl.String(),
        "group": pl.String(),
        "before": pl.Float64(),  # nDCG@10 (reranking: MAP) of the base at full width
        "after": pl.Float64(),  # of the tuned model
        "passages": pl.List(
            pl.Struct(
                {
                    "passage_id": pl.String(),
                    "text": pl.String(),  # title and text, cut to 400 characters
                    "relevant": pl.Boolean(),
                    "rank_before": pl.Int64(),  # 1-based; null: not among the ten best
                    "rank_after": pl.Int64(),
                }
            )
        ),
    }
)

_LONGEST_TEXT = 400


def moved_queries(
    table: ScoreTable, tasks: Sequence[RetrievalData], comparison: Comparison, *, count: int
) -> pl.DataFrame:
    """MOVED_SCHEMA: the ``count`` queries that gained most, then the ``count`` that lost most.

    Tuned is set against base, each at its full width. Of each query the relevant passages (three
    at most) are shown and whatever stood first before or after. Ties go by task and query id; a
    query whose score did not change is left out.
    """
    by_name = {data.name: data for data in tasks}
    before, after = (
        _at_full_width(table.per_query, comparison.names[part]) for part in ("base", "tuned")
    )
    changed = (
        before.join(after, on=["task", "query_id"], suffix="_after")
        .with_columns((pl.col("score_after") - pl.col("score")).alias("change"))
        .filter(pl.col("task").is_in(list(by_name)))
    )
    gained = changed.filter(pl.col("change") > 0).sort(-pl.col("change"), "task", "query_id")
    lost = changed.filter(pl.col("change") < 0).sort("change", "task", "query_id")
    shown = pl.concat([gained.head(count), lost.head(count)])
    rows = [_describe(row, by_name[row["task"]]) for row in shown.iter_rows(named=True)]
    return pl.DataFrame(rows, schema=MOVED_SCHEMA)


def _at_full_width(per_query: pl.DataFrame, model: str) -> pl.DataFrame:
    rows = per_query.filter(pl.col("model") == model)
    widest = pl.col("dimension").max().over("task")
    return rows.filter(pl.col("dimension") == widest).select("task", "query_id", "score", "top_ids")


def _describe(row: dict[str, Any], data: RetrievalData) -> dict[str, Any]:
    query = data.queries.row(by_predicate=pl.col("id") == row["query_id"], named=True)
    judged = data.qrels.filter((pl.col("query_id") == row["query_id"]) & (pl.col("score") > 0))
    relevant = judged["passage_id"].to_list()
    firsts = [*row["top_ids_after"][:1], *row["top_ids"][:1]]
    shown = list(dict.fromkeys([*relevant[:3], *firsts]))
    texts = data.corpus.filter(pl.col("id").is_in(shown))
    by_id = {found["id"]: found for found in texts.iter_rows(named=True)}
    passages = [
        {
            "passage_id": passage,
            "text": _titled(by_id[passage]["title"], by_id[passage]["text"]),
            "relevant": passage in relevant,
            "rank_before": _rank(row["top_ids"], passage),
            "rank_after": _rank(row["top_ids_after"], passage),
        }
        for passage in shown
    ]
    return {
        "task": data.name,
        "query_id": row["query_id"],
        "query": _cut(query["text"]),
        "group": query["group"],
        "before": row["score"],
        "after": row["score_after"],
        "passages": passages,
    }


def _rank(top_ids: list[str], passage: str) -> int | None:
    return top_ids.index(passage) + 1 if passage in top_ids else None


def _titled(title: str | None, text: str) -> str:
    return _cut(f"{title}: {text}" if title else text)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else text[:_LONGEST_TEXT].rstrip() + "…"
