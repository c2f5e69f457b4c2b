"""What can be set about writing and labelling queries; conf/base/parameters says why.

A class belongs to one step: ``synthesize`` samples, writes and filters, ``queries`` joins a log,
``relabel`` judges, fuses, chooses and shows.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from gecko_kedro.base.settings import EXECUTION, Count, Limit, Seed, Settings, Share
from gecko_kedro.fret.controls import Shares
from gecko_kedro.fret.round_trip import RoundTripSettings
from gecko_kedro.teacher.settings import TeacherSettings

Ranker = Literal["query_likelihood", "relevance", "retriever"]
RANKERS: tuple[Ranker, ...] = ("query_likelihood", "relevance", "retriever")
SCORED: tuple[Ranker, ...] = RANKERS[:2]  # by the teacher


def rankers_for(rankers: list[Ranker] | None, teacher: TeacherSettings) -> list[Ranker]:
    """``rankers``; for None the paper's two, which the retriever joins beside a weaker teacher.

    A small adapted model has query likelihood alone.
    """
    if rankers is not None:
        return rankers
    if teacher.adapts:
        return ["query_likelihood", "retriever"]
    return list(RANKERS if teacher.backend == "lexical" else SCORED)


def fusion_for(fuse: dict[str, Any], teacher: TeacherSettings) -> dict[str, Any]:
    """``fuse`` with a method in place of ``auto``: the paper's, but for a small adapted model.

    Its query likelihood ranks worse than the retriever alone and better beside it, by the scores
    themselves (docs/results.md, labels).
    """
    if fuse.get("method", "auto") != "auto":
        return fuse
    if teacher.adapts:
        weights = fuse.get("weights") or {"query_likelihood": 0.7}
        return fuse | {"method": "standardised", "weights": weights}
    return fuse | {"method": "reciprocal_rank"}


Positive = Literal["relabelled", "seed"]
RelevanceScore = Literal["top_grade", "expected_grade"]
PositiveShare = Annotated[float, Field(gt=0.0, le=1.0)]


class JoinSettings(Settings):
    """What becomes of an existing query log."""

    use: Literal["join", "replace"] = "join"
    max_queries: Limit = None
    task_name: str = "question answering"
    seed: Seed = 7


class SampleSettings(Settings):
    """How many seed passages."""

    n_seeds: Count = 1000
    seed: Seed = 7


class WriteSettings(Settings):
    """What the teacher is asked to write, and when it writes too badly to go on."""

    queries_per_passage: Count = 1
    temperature: Annotated[float, Field(ge=0.0, le=2.0)] = 0.7
    top_p: PositiveShare = 1.0
    shares: Shares = Shares(
        task={
            "question answering": 0.25,
            "keyword search": 0.2,
            "search result": 0.15,
            "fact checking": 0.1,
            "title to article": 0.1,
            "code search": 0.1,
            "summary to document": 0.05,
            "sentence similarity": 0.05,
        },
        length={"keywords": 0.2, "short": 0.4, "sentence": 0.4},
    )
    max_passage_tokens: Limit = 512
    language: str | None = "passage"
    max_reject_rate: Share = 0.3
    shard_size: Count = 500
    seed: Seed = 7


class FilterSettings(Settings):
    """Which written queries are thrown away."""

    max_words: Count = 60
    near_duplicate_threshold: PositiveShare | None = 0.8
    max_reject_rate: Share = 0.3
    round_trip: RoundTripSettings = RoundTripSettings()
    seed: Seed = 7


class JudgeSettings(Settings):
    """How the teacher reads queries and candidates."""

    max_query_tokens: Limit = 64
    max_passage_tokens: Limit = 512
    queries_at_once: Count = Field(100, json_schema_extra=EXECUTION)
    shard_size: Count = 250


class FuseSettings(Settings):
    """How the rankers' judgements become one ranking; see ``fuse_rankings``."""

    method: Literal["auto", "reciprocal_rank", "standardised"] = "auto"
    k: Annotated[float, Field(ge=0.0)] = 0.0
    weights: dict[Ranker, Annotated[float, Field(gt=0.0)]] = {}
    relevance_score: RelevanceScore = "top_grade"


class ChooseSettings(Settings):
    """Which candidates become the positive and the hard negative; see ``choose_examples``."""

    positive: Positive = "relabelled"
    negative: Literal["last", "sampled", "none"] = "last"
    percent_of_positive: PositiveShare | None = None
    seed: Seed = 7


class AuditSettings(Settings):
    """How many labels are drawn to be read."""

    rows: Count = 50
    seed: Seed = 7
