"""QL and RC: the teacher scores every candidate of a query in two ways (section 3.2)."""

from collections.abc import Collection, Iterator, Sequence
from typing import Literal, NamedTuple

import polars as pl

from gecko_kedro.errors import InputError
from gecko_kedro.fret.prompts import Prompts
from gecko_kedro.fret.schemas import JUDGEMENT, require_columns
from gecko_kedro.fret.truncation import cut_passages, cut_queries
from gecko_kedro.teacher.protocol import Teacher

Ranker = Literal["query_likelihood", "relevance", "retriever"]


class _Pair(NamedTuple):
    """A query and a candidate as the teacher reads them."""

    query_id: str
    passage_id: str
    query: tuple[str, bool]  # text, whether it is cut
    passage: tuple[str | None, str, bool]  # title, text, whether they are cut


def score_candidates(
    queries: pl.DataFrame,
    candidates: pl.DataFrame,
    passages: pl.DataFrame,
    *,
    teacher: Teacher,
    prompts: Prompts,
    rankers: Sequence[Ranker],
    max_query_tokens: int | None,
    max_passage_tokens: int | None,
    queries_at_once: int,
) -> pl.DataFrame:
    """JUDGEMENT rows in the order of ``candidates``; a ranker that is not asked for gives nulls.

    ``query_likelihood`` is log P(query | P_QL, passage), summed over the query's tokens: for one
    query its length is the same for every candidate, so that it needs no normalisation.
    ``label_log_likelihoods`` are log P(label | P_RC, passage, query) of each label, worst first.
    Neither sees the task. The ranker ``retriever`` has its ranks already and costs nothing here.

    What is longer than ``max_query_tokens`` or ``max_passage_tokens`` is cut at its end and marked
    (None: never cut). The two rankers take turns after the candidates of ``queries_at_once``
    queries, each in the order of the passages: a backend that keeps the state of a prefix then
    finds that of the instruction, the examples and the passage again.
    """
    require_columns(candidates, ["query_id", "passage_id"], where="score_candidates, candidates")
    pairs = _pairs(
        queries,
        candidates,
        passages,
        teacher=teacher,
        max_query_tokens=max_query_tokens,
        max_passage_tokens=max_passage_tokens,
    )
    rows: list[tuple[object, ...]] = []
    for part in _parts(pairs, queries_at_once):
        order = sorted(range(len(part)), key=lambda row: (part[row].passage_id, row))
        in_order = [part[row] for row in order]
        likelihoods = _query_likelihoods(in_order, teacher, prompts, rankers)
        labels = _label_log_likelihoods(in_order, teacher, prompts, rankers)
        scored = sorted(zip(order, in_order, likelihoods, labels, strict=True), key=lambda r: r[0])
        rows += [
            (*pair[:2], likelihood, label, pair.query[-1], pair.passage[-1])
            for _, pair, likelihood, label in scored
        ]
    return pl.DataFrame(rows, schema=JUDGEMENT, orient="row")


def _pairs(
    queries: pl.DataFrame,
    candidates: pl.DataFrame,
    passages: pl.DataFrame,
    *,
    teacher: Teacher,
    max_query_tokens: int | None,
    max_passage_tokens: int | None,
) -> list[_Pair]:
    """The candidates with their texts, in their order; each text is cut once."""
    asked = queries.filter(pl.col("query_id").is_in(candidates["query_id"].unique().implode()))
    short = cut_queries(asked["query"].to_list(), teacher, max_query_tokens)
    by_query = {
        query_id: (read, read != query)
        for (query_id, query), read in zip(
            asked.select("query_id", "query").iter_rows(), short, strict=True
        )
    }
    found = passages.filter(pl.col("passage_id").is_in(candidates["passage_id"].unique().implode()))
    shown = cut_passages(found, teacher, max_passage_tokens)
    by_passage = {
        passage_id: (title, text, cut)
        for (passage_id, title, text), cut in zip(shown.rows, shown.cut, strict=True)
    }
    _refuse_unknown(candidates["query_id"], by_query, "query_id")
    _refuse_unknown(candidates["passage_id"], by_passage, "passage_id")
    return [
        _Pair(query_id, passage_id, by_query[query_id], by_passage[passage_id])
        for query_id, passage_id in candidates.select("query_id", "passage_id").iter_rows()
    ]


def _parts(pairs: list[_Pair], queries_at_once: int) -> Iterator[list[_Pair]]:
    """Runs of whole candidate sets, ``queries_at_once`` of them."""
    part: list[_Pair] = []
    seen = 0
    for row, pair in enumerate(pairs):
        if row and pair.query_id != pairs[row - 1].query_id:
            seen += 1
            if seen % queries_at_once == 0:
                yield part
                part = []
        part.append(pair)
    if part:
        yield part


def _query_likelihoods(
    pairs: list[_Pair], teacher: Teacher, prompts: Prompts, rankers: Sequence[Ranker]
) -> list[float] | list[None]:
    if "query_likelihood" not in rankers:
        return [None] * len(pairs)
    scored = teacher.query_log_likelihood(
        [prompts.query_likelihood_prompt(text, title) for _, _, _, (title, text, _) in pairs],
        [prompts.query_likelihood.continuation(query) for _, _, (query, _), _ in pairs],
    )
    return [reply.log_likelihood for reply in scored]


def _label_log_likelihoods(
    pairs: list[_Pair], teacher: Teacher, prompts: Prompts, rankers: Sequence[Ranker]
) -> list[list[float]] | list[None]:
    if "relevance" not in rankers:
        return [None] * len(pairs)
    scored = teacher.label_log_likelihood(
        [
            prompts.relevance_prompt(query, text, title)
            for _, _, (query, _), (title, text, _) in pairs
        ],
        prompts.relevance.continuations,
    )
    return [list(reply.log_likelihoods) for reply in scored]


def _refuse_unknown(ids: pl.Series, known: Collection[str], name: str) -> None:
    unknown = [value for value in ids.unique(maintain_order=True) if value not in known]
    if unknown:
        raise InputError(
            f"score_candidates, {name}",
            expected="candidates of known queries and passages",
            got=unknown[:5],
            fix="Candidates, queries and passages must come from the same run; mine again.",
        )
