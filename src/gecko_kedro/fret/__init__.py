"""FRet: query synthesis, QL and RC ranking, fusion, choice of positive and negative, audit."""

from gecko_kedro.fret.audit import LabelAudit, audit_labels, sample_html
from gecko_kedro.fret.candidates import candidate_metrics, candidates_with_seeds
from gecko_kedro.fret.choice import ChoiceResult, choose_examples
from gecko_kedro.fret.filters import FilterResult, filter_queries
from gecko_kedro.fret.fusion import fuse_rankings
from gecko_kedro.fret.prompts import Prompts
from gecko_kedro.fret.query_log import join_query_log
from gecko_kedro.fret.ranking import Ranker, score_candidates
from gecko_kedro.fret.synthesis import SynthesisResult, synthesize_queries
from gecko_kedro.fret.tasks import TASK_NAMES, short_task_name

__all__ = [
    "TASK_NAMES", "ChoiceResult", "FilterResult", "LabelAudit", "Prompts", "Ranker",
    "SynthesisResult", "audit_labels", "candidate_metrics", "candidates_with_seeds",
    "choose_examples", "filter_queries", "fuse_rankings", "join_query_log", "sample_html",
    "score_candidates", "short_task_name", "synthesize_queries",
]  # fmt: skip
