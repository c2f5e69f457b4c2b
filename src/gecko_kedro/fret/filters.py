"""Which queries go on to mining: lengths, duplicates, and a stop where too many are rejected."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

import polars as pl

from gecko_kedro.base.errors import InputError
from gecko_kedro.base.text import normalise_query
from gecko_kedro.corpus.duplicates import near_duplicates
from gecko_kedro.corpus.quarantine import QuarantineRow, quarantine_row, quarantine_table, set_aside
from gecko_kedro.corpus.texts import count_words
from gecko_kedro.fret.schemas import QUARANTINE_SCHEMA, QUERY, require_columns
from gecko_kedro.fret.settings import FilterSettings

_EXAMPLES_A_REASON = 2


@dataclass(frozen=True)
class FilterResult:
    """Queries (QUERY), everything rejected (QUARANTINE_SCHEMA), and counts.

    ``counts`` has ``queries``, ``quarantined``, one entry for each reason, and ``task_<name>`` for
    the queries of each short task name.
    """

    queries: pl.DataFrame
    quarantine: pl.DataFrame
    counts: dict[str, int]


def filter_queries(
    queries: pl.DataFrame,
    passages: pl.DataFrame,
    settings: FilterSettings = FilterSettings(),
    *,
    rejected: pl.DataFrame | None = None,
    excluded_queries: Collection[str] = (),
) -> FilterResult:
    """Drop what cannot be learned from; several queries of one passage stay.

    Reasons, in this order: duplicate_id, unknown_passage (the seed is not in ``passages``), empty,
    too_long (more than ``max_words``), evaluation_query (the same as one of
    ``excluded_queries``, which training must not see), duplicate (the same query by
    ``base.text.normalise_query``; the first one stays), near_duplicate (Jaccard similarity of
    3-word shingles; null: not looked for). A row of a query log has no seed, and that is no fault.
    ``rejected`` are the teacher's replies that were set aside before; they join the quarantine and
    the rate.
    Raises InputError where rejected / all is above ``max_reject_rate``, with examples.
    """
    require_columns(queries, list(QUERY), where="filter_queries, queries")
    kept, rows = _distinct_ids(queries.select(list(QUERY)))
    for reason, details in (
        ("unknown_passage", _unknown_passages),
        ("empty", _empty),
        ("too_long", lambda frame, _: _too_long(frame, settings.max_words)),
        ("evaluation_query", lambda frame, _: _excluded(frame, excluded_queries)),
        ("duplicate", _duplicates),
    ):
        kept, gone = set_aside(
            kept, details(kept, passages), id_column="query_id", where="filter_queries",
            reason=reason,
        )  # fmt: skip
        rows += gone
    threshold = settings.near_duplicate_threshold
    if threshold is not None:
        texts = dict(zip(kept["query_id"], kept["query"], strict=True))
        near = near_duplicates(texts, threshold=threshold, seed=settings.seed)
        kept, gone = set_aside(
            kept, {k: f"{similarity:.2f} like {other}" for k, (other, similarity) in near.items()},
            id_column="query_id", where="filter_queries", reason="near_duplicate",
        )  # fmt: skip
        rows += gone
    quarantine = quarantine_table(rows)
    if rejected is not None and not rejected.is_empty():
        quarantine = pl.concat([rejected.select(list(QUARANTINE_SCHEMA)), quarantine])
    stop_above(
        settings.max_reject_rate, quarantine, n_kept=kept.height,
        where="synthesize.filter.max_reject_rate",
    )  # fmt: skip
    return FilterResult(kept, quarantine, _counts(kept, quarantine))


def _distinct_ids(queries: pl.DataFrame) -> tuple[pl.DataFrame, list[QuarantineRow]]:
    again = queries.filter(~pl.col("query_id").is_first_distinct())
    rows = [
        quarantine_row(
            "filter_queries", row["query_id"], reason="duplicate_id",
            detail="an earlier row has this query_id", record=row,
        )
        for row in again.iter_rows(named=True)
    ]  # fmt: skip
    return queries.unique("query_id", keep="first", maintain_order=True), rows


def _unknown_passages(queries: pl.DataFrame, passages: pl.DataFrame) -> dict[str, str]:
    known = set(passages["passage_id"])
    return {
        query_id: f"no passage {seed!r}"
        for query_id, seed in queries.select("query_id", "passage_id").iter_rows()
        if seed is not None and seed not in known
    }


def _empty(queries: pl.DataFrame, _: pl.DataFrame) -> dict[str, str]:
    return {
        query_id: "no letter and no digit"
        for query_id, query in queries.select("query_id", "query").iter_rows()
        if query is None or not any(character.isalnum() for character in query)
    }


def _too_long(queries: pl.DataFrame, max_words: int) -> dict[str, str]:
    return {
        query_id: f"{n} words, at most {max_words}"
        for query_id, query in queries.select("query_id", "query").iter_rows()
        if (n := count_words(query)) > max_words
    }


def _excluded(queries: pl.DataFrame, excluded: Collection[str]) -> dict[str, str]:
    seen = {normalise_query(query) for query in excluded}
    return {
        query_id: "the evaluation has the same query"
        for query_id, query in queries.select("query_id", "query").iter_rows()
        if normalise_query(query) in seen
    }


def _duplicates(queries: pl.DataFrame, _: pl.DataFrame) -> dict[str, str]:
    first: dict[str, str] = {}
    again: dict[str, str] = {}
    for query_id, query in queries.select("query_id", "query").iter_rows():
        earlier = first.setdefault(normalise_query(query), query_id)
        if earlier != query_id:
            again[query_id] = f"the same words as {earlier}"
    return again


def stop_above(
    max_reject_rate: float, quarantine: pl.DataFrame, *, n_kept: int, where: str, at_least: int = 1
) -> None:
    """Raise InputError, with examples, where more than this share of the replies is rejected.

    Fewer than ``at_least`` replies say nothing yet. ``where`` is the name of the parameter.
    """
    total = quarantine.height + n_kept
    if total < at_least or quarantine.height <= max_reject_rate * total:
        return
    examples = quarantine.filter(pl.int_range(pl.len()).over("reason") < _EXAMPLES_A_REASON)
    shown = "; ".join(
        f"{row['reason']} ({row['row_id']}: {row['detail']})"
        for row in examples.iter_rows(named=True)
    )
    raise InputError(
        where,
        expected=f"at most {max_reject_rate:.1%} of {total} queries rejected",
        got=f"{quarantine.height / total:.1%}",
        fix=f"Look at the rejected ones: {shown}. Correct the prompt or the teacher, "
        f"or raise {where}.",
    )


def _counts(kept: pl.DataFrame, quarantine: pl.DataFrame) -> dict[str, int]:
    reasons = Counter(quarantine["reason"])
    tasks = Counter(kept["task_name"])
    return {
        "queries": kept.height,
        "quarantined": quarantine.height,
        **{reason: reasons[reason] for reason in sorted(reasons)},
        **{f"task_{name.replace(' ', '_')}": tasks[name] for name in sorted(tasks)},
    }
