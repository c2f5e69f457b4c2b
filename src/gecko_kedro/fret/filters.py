"""Which queries go on to mining: lengths, duplicates, and a stop where too many are rejected."""

from collections.abc import Callable, Collection

import polars as pl

from gecko_kedro.base.errors import InputError
from gecko_kedro.base.text import normalise_query
from gecko_kedro.corpus.duplicates import near_duplicates
from gecko_kedro.corpus.quarantine import QuarantineRow, quarantine_row, quarantine_table, set_aside
from gecko_kedro.corpus.schemas import QUARANTINE_SCHEMA
from gecko_kedro.corpus.texts import count_words
from gecko_kedro.fret.schemas import QUERY, require_columns
from gecko_kedro.fret.settings import FilterSettings

_EXAMPLES_A_REASON = 2


def filter_queries(
    queries: pl.DataFrame,
    passages: pl.DataFrame,
    settings: FilterSettings = FilterSettings(),
    *,
    rejected: pl.DataFrame | None = None,
    excluded_queries: Collection[str] = (),
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What can be learned from (QUERY), and everything rejected (QUARANTINE_SCHEMA).

    Several queries of one passage stay.

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
    known = set(passages["passage_id"])
    seen = {normalise_query(query) for query in excluded_queries}
    checks: list[tuple[str, Callable[[pl.DataFrame], dict[str, str]]]] = [
        ("unknown_passage", lambda rest: _unknown_passages(rest, known)),
        ("empty", _empty),
        ("too_long", lambda rest: _too_long(rest, settings.max_words)),
        ("evaluation_query", lambda rest: _excluded(rest, seen)),
        ("duplicate", _duplicates),
        ("near_duplicate", lambda rest: _near_duplicates(rest, settings)),
    ]
    for reason, details in checks:
        kept, gone = set_aside(
            kept, details(kept), id_column="query_id", where="filter_queries", reason=reason
        )
        rows += gone
    quarantine = quarantine_table(rows)
    if rejected is not None and not rejected.is_empty():
        quarantine = pl.concat([rejected.select(list(QUARANTINE_SCHEMA)), quarantine])
    stop_above(
        settings.max_reject_rate, quarantine, n_kept=kept.height,
        where="synthesize.filter.max_reject_rate",
    )  # fmt: skip
    return kept, quarantine


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


def _unknown_passages(queries: pl.DataFrame, known: Collection[str]) -> dict[str, str]:
    return {
        query_id: f"no passage {seed!r}"
        for query_id, seed in queries.select("query_id", "passage_id").iter_rows()
        if seed is not None and seed not in known
    }


def _empty(queries: pl.DataFrame) -> dict[str, str]:
    return {
        query_id: "no letter and no digit"
        for query_id, query in _texts(queries)
        if query is None or not any(character.isalnum() for character in query)
    }


def _too_long(queries: pl.DataFrame, max_words: int) -> dict[str, str]:
    return {
        query_id: f"{n} words, at most {max_words}"
        for query_id, query in _texts(queries)
        if (n := count_words(query)) > max_words
    }


def _excluded(queries: pl.DataFrame, seen: Collection[str]) -> dict[str, str]:
    return {
        query_id: "the evaluation has the same query"
        for query_id, query in _texts(queries)
        if normalise_query(query) in seen
    }


def _duplicates(queries: pl.DataFrame) -> dict[str, str]:
    first: dict[str, str] = {}
    again: dict[str, str] = {}
    for query_id, query in _texts(queries):
        earlier = first.setdefault(normalise_query(query), query_id)
        if earlier != query_id:
            again[query_id] = f"the same words as {earlier}"
    return again


def _near_duplicates(queries: pl.DataFrame, settings: FilterSettings) -> dict[str, str]:
    threshold = settings.near_duplicate_threshold
    if threshold is None:
        return {}
    near = near_duplicates(dict(_texts(queries)), threshold=threshold, seed=settings.seed)
    return {k: f"{similarity:.2f} like {other}" for k, (other, similarity) in near.items()}


def _texts(queries: pl.DataFrame) -> list[tuple[str, str]]:
    return queries.select("query_id", "query").rows()


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
