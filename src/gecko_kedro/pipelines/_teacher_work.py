"""What the teacher is asked, as the parameters say: a run, its estimate and label_quality alike.

The replies of one are in the store for the others as long as all of them ask in the same words.
"""

from collections.abc import Mapping
from typing import Any

import polars as pl

from gecko_kedro import fret
from gecko_kedro.params import RelabelParams, SynthesizeParams
from gecko_kedro.teacher.stored import StoredTeacher


def write_queries(
    seed_passages: pl.DataFrame,
    teacher: StoredTeacher,
    prompts: Mapping[str, Any],
    params: SynthesizeParams,
) -> fret.SynthesisResult:
    """``fret.synthesize_queries`` for these seed passages."""
    return fret.synthesize_queries(
        seed_passages,
        teacher=teacher,
        prompts=fret.Prompts.model_validate(prompts),
        queries_per_passage=params.queries_per_passage,
        shares=params.shares,
        max_passage_tokens=params.max_passage_tokens,
        language=params.language,
        temperature=params.temperature,
        top_p=params.top_p,
        seed=params.seed,
    )


def score_candidates(
    queries: pl.DataFrame,
    candidates: pl.DataFrame,
    passages: pl.DataFrame,
    *,
    teacher: StoredTeacher,
    prompts: Mapping[str, Any],
    params: RelabelParams,
) -> fret.ScoringResult:
    """``fret.score_candidates`` for the candidates of these queries."""
    return fret.score_candidates(
        queries,
        candidates,
        passages,
        teacher=teacher,
        prompts=fret.Prompts.model_validate(prompts),
        rankers=params.rankers,
        max_query_tokens=params.max_query_tokens,
        max_passage_tokens=params.max_passage_tokens,
        queries_at_once=params.queries_at_once,
    )
