"""Single queries to look at: what training moved most."""

from typing import Any

import polars as pl

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
    per_query: pl.DataFrame,
    corpus: pl.DataFrame,
    queries: pl.DataFrame,
    qrels: pl.DataFrame,
    *,
    base: str,
    tuned: str,
    count: int,
) -> pl.DataFrame:
    """MOVED_SCHEMA: the ``count`` queries that gained most, then the ``count`` that lost most.

    ``per_query``: PER_QUERY_SCHEMA, the others ``tasks.tables``. Tuned is set against base, each at
    its full width. Of each query the relevant passages (three at most) are shown and whatever stood
    first before or after. Ties go by task and query id; a query whose score did not change is left
    out.
    """
    before, after = (_at_full_width(per_query, model) for model in (base, tuned))
    asked = queries.select("task", "group", query_id="id", query="text")
    changed = (
        before.join(after, on=["task", "query_id"], suffix="_after")
        .with_columns(change=pl.col("score_after") - pl.col("score"))
        .join(asked, on=["task", "query_id"])
    )
    gained = changed.filter(pl.col("change") > 0).sort(-pl.col("change"), "task", "query_id")
    lost = changed.filter(pl.col("change") < 0).sort("change", "task", "query_id")
    shown = pl.concat([gained.head(count), lost.head(count)])
    rows = [
        {
            **{key: row[key] for key in ("task", "query_id", "group")},
            "query": _cut(row["query"]),
            "before": row["score"],
            "after": row["score_after"],
            "passages": _passages(row, corpus.filter(task=row["task"]), qrels),
        }
        for row in shown.iter_rows(named=True)
    ]
    return pl.DataFrame(rows, schema=MOVED_SCHEMA)


def _at_full_width(per_query: pl.DataFrame, model: str) -> pl.DataFrame:
    at_all = per_query.filter(model=model)
    rows = at_all.filter(pl.col("dimension") == pl.col("dimension").max().over("task"))
    return rows.select("task", "query_id", "score", "top_ids")


def _passages(
    row: dict[str, Any], corpus: pl.DataFrame, qrels: pl.DataFrame
) -> list[dict[str, Any]]:
    judged = qrels.filter(pl.col("score") > 0, task=row["task"], query_id=row["query_id"])
    relevant = judged["passage_id"].to_list()
    shown = [*dict.fromkeys([*relevant[:3], *row["top_ids_after"][:1], *row["top_ids"][:1]])]
    found = corpus.filter(pl.col("id").is_in(shown)).select("id", "title", "text")
    texts = {key: f"{title}: {text}" if title else text for key, title, text in found.iter_rows()}
    return [
        {
            "passage_id": passage,
            "text": _cut(texts[passage]),
            "relevant": passage in relevant,
            "rank_before": _rank(row["top_ids"], passage),
            "rank_after": _rank(row["top_ids_after"], passage),
        }
        for passage in shown
    ]


def _rank(top_ids: list[str], passage: str) -> int | None:
    return top_ids.index(passage) + 1 if passage in top_ids else None


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else text[:_LONGEST_TEXT].rstrip() + "…"
