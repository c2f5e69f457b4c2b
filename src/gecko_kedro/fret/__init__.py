"""FRet: query synthesis, QL and RC ranking, fusion, choice of positive and negative, audit."""

from gecko_kedro.fret.audit import AUDIT_SHARES, audit_labels
from gecko_kedro.fret.candidates import candidate_metrics, candidates_with_seeds
from gecko_kedro.fret.card import fret_card
from gecko_kedro.fret.choice import choose_examples
from gecko_kedro.fret.controls import Shares
from gecko_kedro.fret.filters import filter_queries, stop_above
from gecko_kedro.fret.fusion import fuse_rankings, ranker_sets
from gecko_kedro.fret.information import (
    ENOUGH_QUERIES,
    WorthlessRankerError,
    information,
    refuse_worthless,
)
from gecko_kedro.fret.label_sample import (
    LABEL_SAMPLE,
    label_sample,
    label_sample_page,
    reject_examples,
)
from gecko_kedro.fret.prepared import PreparedTeacher, ranker_calls
from gecko_kedro.fret.prompts import Prompts
from gecko_kedro.fret.query_log import as_queries, join_query_log
from gecko_kedro.fret.query_report import query_plot, share_report
from gecko_kedro.fret.ranking import judged_candidates, score_candidates
from gecko_kedro.fret.round_trip import RoundTripSettings, round_trip
from gecko_kedro.fret.settings import (
    AuditSettings,
    ChooseSettings,
    FilterSettings,
    FuseSettings,
    JoinSettings,
    JudgeSettings,
    Ranker,
    SampleSettings,
    WriteSettings,
    rankers_for,
)
from gecko_kedro.fret.synthesis import (
    reject_reason,
    rejected_texts,
    synthesize_queries,
)

__all__ = [
    "AUDIT_SHARES", "ENOUGH_QUERIES", "LABEL_SAMPLE", "AuditSettings", "ChooseSettings",
    "FilterSettings", "FuseSettings", "JoinSettings", "JudgeSettings", "PreparedTeacher", "Prompts",
    "Ranker", "RoundTripSettings", "SampleSettings", "Shares", "WorthlessRankerError",
    "WriteSettings", "as_queries", "audit_labels", "candidate_metrics", "candidates_with_seeds",
    "choose_examples", "filter_queries", "fret_card", "fuse_rankings", "information",
    "join_query_log", "judged_candidates", "label_sample", "label_sample_page", "query_plot",
    "ranker_calls", "ranker_sets", "rankers_for", "refuse_worthless", "reject_examples",
    "reject_reason", "rejected_texts", "round_trip", "score_candidates", "share_report",
    "stop_above", "synthesize_queries",
]  # fmt: skip
