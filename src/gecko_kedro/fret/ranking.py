"""QL and RC: the teacher scores every candidate of a query in two ways (section 3.2)."""

from collections.abc import Iterator, Sequence
from typing import Literal

import polars as pl

from gecko_kedro.errors import InputError
from gecko_kedro.fret.prompts import Prompts
from gecko_kedro.fret.schemas import JUDGEMENT, require_columns
from gecko_kedro.teacher.protocol import Teacher

Ranker = Literal["query_likelihood", "relevance", "retriever"]
_PAIRS_AT_ONCE = 4_000  # prompts of some 3 kB that are held in memory together


def score_candidates(
    queries: pl.DataFrame,
    candidates: pl.DataFrame,
    passages: pl.DataFrame,
    *,
    teacher: Teacher,
    prompts: Prompts,
    rankers: Sequence[Ranker],
) -> pl.DataFrame:
    """JUDGEMENT rows in the order of ``candidates``; a ranker that is not asked for gives nulls.

    ``query_likelihood`` is log P(query | P_QL, passage), summed over the query's tokens: for one
    query its length is the same for every candidate, so that it needs no normalisation.
    ``relevance`` is the log-likelihood of the best label under P_RC. Neither sees the task. The
    ranker ``retriever`` has its ranks already and costs nothing here.
    """
    require_columns(candidates, ["query_id", "passage_id"], where="score_candidates, candidates")
    pairs = (
        candidates.select("query_id", "passage_id")
        .join(queries.select("query_id", "query"), on="query_id", how="left", maintain_order="left")
        .join(
            passages.select("passage_id", "title", "text"), on="passage_id", how="left",
            maintain_order="left",
        )
    )  # fmt: skip
    _refuse_unknown(pairs)
    scores: dict[str, list[float | None]] = {"query_likelihood": [], "relevance": []}
    for rows in _chunks(pairs):
        scores["query_likelihood"] += (
            _query_likelihoods(rows, teacher, prompts)
            if "query_likelihood" in rankers
            else [None] * len(rows)
        )
        scores["relevance"] += (
            _relevances(rows, teacher, prompts) if "relevance" in rankers else [None] * len(rows)
        )
    return pairs.select(
        "query_id",
        "passage_id",
        *(pl.Series(name, values, dtype=JUDGEMENT[name]) for name, values in scores.items()),
    )


Row = tuple[str, str | None, str]  # query, title, text


def _chunks(pairs: pl.DataFrame) -> Iterator[list[Row]]:
    for part in pairs.select("query", "title", "text").iter_slices(_PAIRS_AT_ONCE):
        yield part.rows()


def _query_likelihoods(rows: list[Row], teacher: Teacher, prompts: Prompts) -> list[float]:
    scored = teacher.query_log_likelihood(
        [prompts.query_likelihood.render(text, title) for _, title, text in rows],
        [prompts.query_likelihood.continuation(query) for query, _, _ in rows],
    )
    return [reply.log_likelihood for reply in scored]


def _relevances(rows: list[Row], teacher: Teacher, prompts: Prompts) -> list[float]:
    scored = teacher.label_log_likelihood(
        [prompts.relevance.render(query, text, title) for query, title, text in rows],
        prompts.relevance.continuations,
    )
    return [reply.log_likelihoods[-1] for reply in scored]


def _refuse_unknown(pairs: pl.DataFrame) -> None:
    for column, of in (("query", "query_id"), ("text", "passage_id")):
        unknown = pairs.filter(pl.col(column).is_null())[of].unique(maintain_order=True).to_list()
        if unknown:
            raise InputError(
                f"score_candidates, {of}",
                expected="candidates of known queries and passages",
                got=unknown[:5],
                fix="Candidates, queries and passages must come from the same run; mine again.",
            )
