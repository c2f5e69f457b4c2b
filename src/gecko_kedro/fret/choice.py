"""The positive and the hard negative of each query out of its fused ranking (section 3.2)."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gecko_kedro.base.text import normalise, normalise_query
from gecko_kedro.corpus.quarantine import QuarantineRow, quarantine_row, quarantine_table
from gecko_kedro.fret.schemas import FRET, QUERY, RANKING, require_columns, table
from gecko_kedro.fret.settings import ChooseSettings, Positive
from gecko_kedro.retrieval.sampling import sample_negatives

_STRATEGIES: Mapping[str, Literal["last", "random"]] = {"last": "last", "sampled": "random"}


@dataclass(frozen=True)
class _Case:
    """One query with its candidates in fused order."""

    query: dict[str, Any]
    ranking: dict[str, Any]  # lists in fused order
    texts: list[str]  # of the candidates, normalised
    positive: int  # column of the positive


def choose_examples(
    rankings: pl.DataFrame,
    queries: pl.DataFrame,
    passages: pl.DataFrame,
    settings: ChooseSettings = ChooseSettings(),
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """FRET rows in the order of ``queries``, and QUARANTINE_SCHEMA rows of those without.

    The positive is the candidate of fused rank 1, or the seed itself (an ablation). The negative is
    the last of the fused ranking (the paper's choice), one drawn uniformly from the rest, or none.
    Passed over as negatives: the seed, which the query was written for; texts equal (but for case
    and white space) to the positive or to another positive of the same query; and, with
    ``percent_of_positive`` p, candidates whose retriever score is above p times the positive's.
    A draw depends on ``seed``, the query id and the passage ids only.

    Reasons for quarantine: no_candidates, no_seed (a query log row with positive="seed"),
    unknown_passage, no_negative (such as with one passage only).
    """
    require_columns(rankings, list(RANKING), where="choose_examples, rankings")
    require_columns(queries, list(QUERY), where="choose_examples, queries")
    content = {
        passage_id: (title, text)
        for passage_id, title, text in passages.select("passage_id", "title", "text").iter_rows()
    }
    ranked = rankings.sort("fused_rank").group_by("query_id", maintain_order=True).agg(pl.all())
    grouped = {row["query_id"]: row for row in ranked.iter_rows(named=True)}
    cases: list[_Case] = []
    rejected: list[QuarantineRow] = []
    for query in queries.select(list(QUERY)).iter_rows(named=True):
        case = _case(query, grouped.get(query["query_id"]), content, settings.positive)
        if isinstance(case, _Case):
            cases.append(case)
        else:
            rejected.append(_reject(query, *case))
    wanted = settings.negative != "none"
    columns = _negatives(cases, settings) if wanted else [None] * len(cases)
    rows = []
    for case, column in zip(cases, columns, strict=True):
        if column is None and wanted:
            n = len(case.texts)
            detail = f"none of the {n - 1} other candidates may be a negative"
            rejected.append(_reject(case.query, "no_negative", detail))
        else:
            rows.append(_fret_row(case, column, content))
    return table(rows, FRET), quarantine_table(rejected)


def _case(
    query: dict[str, Any],
    ranking: dict[str, Any] | None,
    content: Mapping[str, tuple[str | None, str]],
    positive: Positive,
) -> _Case | tuple[str, str]:
    if ranking is None:
        return "no_candidates", "no ranking has this query"
    unknown = [p for p in ranking["passage_id"] if p not in content]
    if unknown:
        return "unknown_passage", f"no passage {unknown[0]!r}"
    column = 0
    if positive == "seed":
        if query["passage_id"] is None:
            return "no_seed", 'positive: "seed" needs a seed passage, and a query log has none'
        if query["passage_id"] not in ranking["passage_id"]:
            return "no_seed", "the seed passage is not among the candidates"
        column = ranking["passage_id"].index(query["passage_id"])
    texts = [normalise(content[passage_id][1]) for passage_id in ranking["passage_id"]]
    return _Case(query, ranking, texts, column)


def _negatives(cases: list[_Case], settings: ChooseSettings) -> list[int | None]:
    """The column of the negative of each case, None where no candidate may be one."""
    if not cases:
        return []
    width = max(len(case.texts) for case in cases)
    ids = np.full((len(cases), width), -1, dtype=np.int64)  # (q, N)
    eligible = np.zeros((len(cases), width), dtype=np.bool_)
    positives: dict[str, set[str]] = {}  # of each query, which may be there under several ids
    for case in cases:
        own = positives.setdefault(normalise_query(case.query["query"]), set())
        own.add(case.texts[case.positive])
    for row, case in enumerate(cases):
        passage_ids = case.ranking["passage_id"]
        ids[row, : len(passage_ids)] = [_number(p) >> 1 for p in passage_ids]
        eligible[row, : len(passage_ids)] = _eligible(
            case, positives[normalise_query(case.query["query"])], settings.percent_of_positive
        )
    query_ids = np.array([_number(case.query["query_id"]) for case in cases], dtype=np.uint64)
    chosen = sample_negatives(
        ids, eligible=eligible, n_negatives=1, strategy=_STRATEGIES[settings.negative],
        seed=settings.seed, query_ids=query_ids,
    )[:, 0]  # fmt: skip
    return [
        int(np.argmax(ids[row] == wanted)) if wanted >= 0 else None
        for row, wanted in enumerate(chosen)
    ]


def _eligible(
    case: _Case, positive_texts: set[str], percent_of_positive: float | None
) -> NDArray[np.bool_]:
    scores = np.asarray(case.ranking["retriever_score"], dtype=np.float64)
    mask = np.array([text not in positive_texts for text in case.texts], dtype=np.bool_)
    mask &= ~np.asarray(case.ranking["is_seed"], dtype=np.bool_)
    mask[case.positive] = False
    if percent_of_positive is not None:
        mask &= scores <= percent_of_positive * scores[case.positive]
    return mask


def _number(name: str) -> int:
    """64 bits of a hash of ``name``: what a draw depends on must not depend on the row."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")


def _fret_row(
    case: _Case, column: int | None, content: Mapping[str, tuple[str | None, str]]
) -> dict[str, Any]:
    ranking, seed_id = case.ranking, case.query["passage_id"]
    positive_id = ranking["passage_id"][case.positive]
    negative_id = None if column is None else ranking["passage_id"][column]
    positive_title, positive = content[positive_id]
    negative_title, negative = (None, None) if negative_id is None else content[negative_id]
    return {
        **{name: case.query[name] for name in ("query_id", "task", "task_name", "query")},
        "seed_id": seed_id,
        "positive_id": positive_id,
        "positive_title": positive_title,
        "positive": positive,
        "negative_id": negative_id,
        "negative_title": negative_title,
        "negative": negative,
        "positive_is_seed": None if seed_id is None else positive_id == seed_id,
        "candidate_ids": ranking["passage_id"],
        "fused_ranks": ranking["fused_rank"],
        "query_likelihoods": ranking["query_likelihood"],
        "relevances": ranking["relevance"],
        "label_log_likelihoods": ranking["label_log_likelihoods"],
        "retriever_scores": ranking["retriever_score"],
        "retriever_ranks": ranking["retriever_rank"],
    }


def _reject(query: dict[str, Any], reason: str, detail: str) -> QuarantineRow:
    return quarantine_row(
        "choose_examples", query["query_id"], reason=reason, detail=detail, record=query
    )
