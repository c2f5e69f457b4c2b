"""Whether a ranker tells candidates apart at all: labels without information must not pass."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import lgamma

import polars as pl

from gecko_kedro.base.errors import InputError, Words
from gecko_kedro.fret.settings import SCORED, Ranker

# Scores that differ by less are those of one number that was computed twice.
_SAME = 1e-6
# How much has to be seen before a ranker is called worthless.
_FEW, _MANY = 5, 40  # queries of several candidates: without exception, and with a few
ENOUGH_QUERIES = _MANY
_SHARE = 0.95
_NATS = 40.0  # of orders that agree: by chance they would in one of e^40 cases
_EXAMPLES = 3


@dataclass(frozen=True)
class Information:
    """What the scores of one ranker tell, over the queries of at least two candidates.

    ``distinct``: different scores, as a share of all. ``ties``: pairs of a query's candidates with
    one score, the mean share. ``constant``: queries whose candidates all have one score.
    ``as_retriever``: queries whose candidates come in the retriever's order, ties included.
    ``grades``: labels that are the likeliest one somewhere, None for a ranker without labels.
    ``chance``: -log of the probability that so many orders agree with the retriever's by chance.
    """

    ranker: Ranker
    queries: int
    distinct: float
    ties: float
    constant: float
    as_retriever: float
    grades: int | None
    chance: float

    @property
    def problem(self) -> str | None:
        """Why the ranker is worthless; None where it is not, or where too little was seen."""
        n = self.queries
        if (n >= _FEW and self.constant == 1) or (n >= _MANY and self.constant >= _SHARE):
            return f"one score for all candidates in {self.constant:.0%} of {n} queries"
        if n >= _FEW and self.as_retriever == 1 and self.chance >= _NATS:
            return f"the retriever's own order in all of {n} queries"
        return None

    def as_metrics(self) -> dict[str, float]:
        """``{"relevance_ties": ..., ...}``."""
        names = ("distinct", "ties", "constant", "as_retriever", "grades")
        values = {name: getattr(self, name) for name in names}
        return {f"{self.ranker}_{name}": float(v) for name, v in values.items() if v is not None}


def information(judged: pl.DataFrame, ranker: Ranker) -> Information | None:
    """Of the scores of ``ranker``; None where it did not run or no query has two candidates.

    ``judged`` has query_id, retriever_rank, query_likelihood and label_log_likelihoods.
    """
    labels = pl.col("label_log_likelihoods")
    # The likeliest label and its likelihood: either tells candidates apart.
    score = pl.col(ranker) if ranker == "query_likelihood" else labels.list.last()
    rows = (
        judged.with_columns(score.alias("_score"), labels.list.arg_max().alias("_grade"))
        .drop_nulls("_score")
        .sort("query_id", "retriever_rank", maintain_order=True)
    )
    groups = (
        rows.group_by("query_id", maintain_order=True)
        .agg("_score")
        .filter(pl.col("_score").list.len() > 1)
    )
    if groups.is_empty():
        return None
    lists = groups["_score"].to_list()
    pairs = [_ties(scores) for scores in lists]
    same_order = [all(a >= b for a, b in pairwise(s)) for s in lists]
    rounded = rows["_score"].round(9)
    return Information(
        ranker=ranker,
        queries=len(lists),
        distinct=rounded.n_unique() / rows.height,
        ties=sum(pairs) / len(pairs),
        constant=sum(map(_constant, lists)) / len(lists),
        as_retriever=sum(same_order) / len(lists),
        grades=rows["_grade"].n_unique() if ranker == "relevance" else None,
        chance=sum(map(_orders, lists)),
    )


def refuse_worthless(
    judged: pl.DataFrame, queries: pl.DataFrame, rankers: Sequence[Ranker]
) -> None:
    """Raise ``WorthlessRankerError``, with examples, for the first ranker that says nothing."""
    for ranker in SCORED:
        if ranker not in rankers:
            continue
        found = information(judged, ranker)
        if found is not None and found.problem is not None:
            raise _worthless(found, judged, queries)


class WorthlessRankerError(InputError):
    """A ranker's scores say nothing; ``ranker`` is its name."""

    ranker: Ranker


def _worthless(found: Information, judged: pl.DataFrame, queries: pl.DataFrame) -> InputError:
    column = "label_log_likelihoods" if found.ranker == "relevance" else found.ranker
    shown = (
        judged.drop_nulls(column).join(queries.select("query_id", "query"), on="query_id")
        .group_by("query_id", maintain_order=True)
        .agg(pl.col("query").first(), pl.col("passage_id").head(2), pl.col(column).head(2))
        .head(_EXAMPLES)
    )  # fmt: skip
    examples = "; ".join(
        f"{query!r}: {', '.join(f'{p} {s}' for p, s in zip(ids, scores, strict=True))}"
        for _, query, ids, scores in shown.iter_rows()
    )
    error = WorthlessRankerError(
        f"labels of the ranker {found.ranker}",
        expected="scores that tell the candidates of a query apart",
        got=Words(f"no information: {found.problem}"),
        fix=f"For example {examples}. If the model thinks aloud, switch that off. Try another "
        "model, another way to ask it (teacher.http.dialect, api, tokenizer) or other labels in "
        "conf/prompts, or leave the ranker out (relabel.rankers). Its replies are asked for anew.",
    )
    error.ranker = found.ranker
    return error


def _ties(scores: list[float]) -> float:
    """The share of pairs that are equal, of sorted scores neighbour by neighbour."""
    ordered = sorted(scores)
    run = equal = 0
    for before, score in pairwise(ordered):
        run = run + 1 if _equal(before, score) else 0
        equal += run
    return equal / (len(scores) * (len(scores) - 1) / 2)


def _orders(scores: list[float]) -> float:
    """The logarithm of the number of orders in which these scores could stand."""
    alike = Counter(scores).values()
    return lgamma(len(scores) + 1) - sum(lgamma(count + 1) for count in alike)


def _constant(scores: list[float]) -> bool:
    return _equal(min(scores), max(scores))


def _equal(first: float, second: float) -> bool:
    return abs(first - second) <= _SAME * max(1.0, abs(first), abs(second))
