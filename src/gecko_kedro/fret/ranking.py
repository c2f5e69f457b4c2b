"""QL and RC: the teacher scores every candidate of a query in two ways (section 3.2)."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import polars as pl

from gecko_kedro.base.errors import InputError
from gecko_kedro.corpus.quarantine import QuarantineRow, quarantine_row, quarantine_table
from gecko_kedro.fret.prompts import Prompts
from gecko_kedro.fret.reply import REFUSED
from gecko_kedro.fret.schemas import JUDGEMENT, require_columns
from gecko_kedro.fret.settings import RANKERS, JudgeSettings, Ranker
from gecko_kedro.fret.truncation import cut_passages, cut_queries
from gecko_kedro.teacher.protocol import Refused, Teacher


class _Pair(NamedTuple):
    """A query and a candidate as the teacher reads them."""

    query_id: str
    passage_id: str
    query: tuple[str, bool]  # text, whether it is cut
    passage: tuple[str | None, str, bool]  # title, text, whether they are cut


class _Refusal(NamedTuple):
    """The first candidate of a query that the teacher refused to score."""

    pair: _Pair
    ranker: Ranker
    words: str


def score_candidates(
    queries: pl.DataFrame,
    candidates: pl.DataFrame,
    passages: pl.DataFrame,
    *,
    teacher: Teacher,
    prompts: Prompts,
    rankers: Sequence[Ranker] = RANKERS,
    settings: JudgeSettings = JudgeSettings(),
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """JUDGEMENT rows in the order of ``candidates``, and a QUARANTINE_SCHEMA row a refused query.

    A ranker that is not asked for gives nulls.

    ``query_likelihood`` is log P(query | P_QL, passage), summed over the query's tokens: for one
    query its length is the same for every candidate, so that it needs no normalisation.
    ``label_log_likelihoods`` are log P(label | P_RC, passage, query) of each label, worst first.
    Neither sees the task. The ranker ``retriever`` has its ranks already and costs nothing here.

    What is longer than ``max_query_tokens`` or ``max_passage_tokens`` is cut at its end and marked
    (None: never cut). The two rankers take turns after the candidates of ``queries_at_once``
    queries, each in the order of the passages: a backend that keeps the state of a prefix then
    finds that of the instruction, the examples and the passage again.

    A query with a candidate that the teacher refuses (``Refused``) has no judgements, since half a
    ranking would not be comparable: it is set aside as refused_by_endpoint (``row_id``), and the
    second ranker is not asked about it.
    """
    require_columns(candidates, ["query_id", "passage_id"], where="score_candidates, candidates")
    pairs = _pairs(queries, candidates, passages, teacher, settings)
    rows: list[tuple[object, ...]] = []
    refused: dict[str, _Refusal] = {}
    for part in _parts(pairs, settings.queries_at_once):
        order = sorted(range(len(part)), key=lambda row: (part[row].passage_id, row))
        scores: list[Mapping[int, object]] = []
        for ranker, ask in _ASKED.items():
            order = [row for row in order if part[row].query_id not in refused]
            in_order = [part[row] for row in order]
            found = ask(in_order, teacher, prompts) if ranker in rankers else [None] * len(order)
            for pair, score in zip(in_order, found, strict=True):
                if isinstance(score, Refused):
                    refused.setdefault(pair.query_id, _Refusal(pair, ranker, score.words))
            scores.append(dict(zip(order, found, strict=True)))
        rows += [
            (*pair[:2], *(one.get(row) for one in scores), pair.query[-1], pair.passage[-1])
            for row, pair in enumerate(part)
            if pair.query_id not in refused
        ]
    judged = [row for row in rows if row[0] not in refused]
    quarantine = quarantine_table([_quarantined(one) for one in refused.values()])
    return pl.DataFrame(judged, schema=JUDGEMENT, orient="row"), quarantine


def judged_candidates(candidates: pl.DataFrame, judgements: pl.DataFrame) -> pl.DataFrame:
    """The candidates of the queries that were judged, in their order."""
    return candidates.join(judgements, on="query_id", how="semi", maintain_order="left")


def _pairs(
    queries: pl.DataFrame,
    candidates: pl.DataFrame,
    passages: pl.DataFrame,
    teacher: Teacher,
    settings: JudgeSettings,
) -> list[_Pair]:
    """The candidates with their texts, in their order; each text is cut once."""
    asked = queries.filter(pl.col("query_id").is_in(candidates["query_id"].unique().implode()))
    short = cut_queries(asked["query"].to_list(), teacher, settings.max_query_tokens)
    by_query = {
        query_id: (read, read != query)
        for (query_id, query), read in zip(
            asked.select("query_id", "query").iter_rows(), short, strict=True
        )
    }
    found = passages.filter(pl.col("passage_id").is_in(candidates["passage_id"].unique().implode()))
    shown = cut_passages(found, teacher, settings.max_passage_tokens)
    by_passage = {passage_id: (title, text, cut) for (passage_id, title, text), cut in shown}
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
    pairs: list[_Pair], teacher: Teacher, prompts: Prompts
) -> list[float | Refused]:
    scored = teacher.query_log_likelihood(
        [prompts.query_likelihood_prompt(text, title) for _, _, _, (title, text, _) in pairs],
        [prompts.query_likelihood.continuation(query) for _, _, (query, _), _ in pairs],
    )
    return [reply if isinstance(reply, Refused) else reply.log_likelihood for reply in scored]


def _label_log_likelihoods(
    pairs: list[_Pair], teacher: Teacher, prompts: Prompts
) -> list[list[float] | Refused]:
    scored = teacher.label_log_likelihood(
        [
            prompts.relevance_prompt(query, text, title)
            for _, _, (query, _), (title, text, _) in pairs
        ],
        prompts.relevance.continuations,
    )
    return [
        reply if isinstance(reply, Refused) else list(reply.log_likelihoods) for reply in scored
    ]


# In the order in which they are asked and JUDGEMENT has their columns.
_ASKED: Mapping[Ranker, Callable[[list[_Pair], Teacher, Prompts], Sequence[object]]] = {
    "query_likelihood": _query_likelihoods,
    "relevance": _label_log_likelihoods,
}


def _quarantined(refusal: _Refusal) -> QuarantineRow:
    pair = refusal.pair
    return quarantine_row(
        "score_candidates", pair.query_id, reason=REFUSED,
        detail=f"{refusal.ranker} of candidate {pair.passage_id}: {refusal.words}",
        record={"query": pair.query[0], "passage_id": pair.passage_id, "text": pair.passage[1]},
    )  # fmt: skip


def _refuse_unknown(ids: pl.Series, known: Collection[str], name: str) -> None:
    unknown = [value for value in ids.unique(maintain_order=True) if value not in known]
    if unknown:
        raise InputError(
            f"score_candidates, {name}",
            expected="candidates of known queries and passages",
            got=unknown[:5],
            fix="Candidates, queries and passages must come from the same run; mine again.",
        )
