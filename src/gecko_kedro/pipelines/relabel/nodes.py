"""Nodes of relabel: the teacher ranks the candidates; a better positive and a hard negative."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from gecko_kedro import evaluation, fret
from gecko_kedro.fret.calls import ranker_calls
from gecko_kedro.params import RelabelParams
from gecko_kedro.progress import Progress
from gecko_kedro.shards import NO_SHARD, Shard, count_missing, missing_pieces
from gecko_kedro.teacher import TeacherSettings, build_teacher, teacher_name

logger = logging.getLogger(__name__)


def judge_candidates(
    queries: pl.DataFrame,
    candidates: pl.DataFrame,
    passages: pl.DataFrame,
    prompts: dict[str, Any],
    store: Path,
    finished: frozenset[int],
    teacher_settings: TeacherSettings,
    params: RelabelParams,
) -> Iterator[Shard]:
    """Query likelihood and relevance of each candidate by the teacher, shard by shard."""
    total = count_missing(queries, size=params.shard_size, finished=finished)
    teacher = build_teacher(
        teacher_settings,
        texts=passages["text"],
        store=store,
        calls=ranker_calls(params.rankers) if total else [],
    )
    if total == 0 and finished:
        yield NO_SHARD
    with Progress("judge_candidates", total=total, unit="query") as progress:
        for piece in missing_pieces(queries, size=params.shard_size, finished=finished):
            judgements = fret.score_candidates(
                piece.rows,
                candidates.join(piece.rows.select("query_id"), on="query_id", how="semi"),
                passages,
                teacher=teacher,
                prompts=fret.Prompts.model_validate(prompts),
                rankers=params.rankers,
            )
            yield Shard(piece.index, piece.total, judgements)
            progress.advance(piece.rows.height)
    teacher.report("relabel")


def fuse_rankings(
    candidates: pl.DataFrame, judgement_shards: pl.DataFrame, params: RelabelParams
) -> pl.DataFrame:
    """Reciprocal rank fusion of the rankers (appendix A)."""
    rankings = fret.fuse_rankings(
        candidates, judgement_shards, k=params.fusion_k, rankers=params.rankers
    )
    logger.info(
        "fuse_rankings: %d judgements, k = %g, %s",
        rankings.height, params.fusion_k, " + ".join(params.rankers),
    )  # fmt: skip
    return rankings


def choose_examples(
    rankings: pl.DataFrame, queries: pl.DataFrame, passages: pl.DataFrame, params: RelabelParams
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The positive and the hard negative of each query (section 3.2)."""
    chosen = fret.choose_examples(
        rankings,
        queries,
        passages,
        positive=params.positive,
        negative=params.negative,
        percent_of_positive=params.percent_of_positive,
        seed=params.seed,
    )
    logger.info(
        "choose_examples: %d FRet rows, %d in quarantine",
        chosen.fret.height, chosen.quarantine.height,
    )  # fmt: skip
    return chosen.fret, chosen.quarantine


def audit_labels(
    rankings: pl.DataFrame,
    fret_table: pl.DataFrame,
    queries_quarantine: pl.DataFrame,
    fret_quarantine: pl.DataFrame,
    prompts: dict[str, Any],
    teacher_settings: TeacherSettings,
    params: RelabelParams,
) -> tuple[dict[str, float], Any, Any, dict[str, Any]]:
    """What the labels look like: numbers, plots, and what the report shows of them."""
    audit = fret.audit_labels(rankings, fret_table)
    reasons = pl.concat([queries_quarantine, fret_quarantine])["reason"].value_counts()
    shown = {
        "teacher": teacher_name(teacher_settings),
        "prompt_versions": fret.Prompts.model_validate(prompts).versions(),
        "facts": audit.metrics,
        "shares": ["replaced_seeds", "suspected_false_negatives"],
        "rejected": dict(reasons.sort("count", descending=True).iter_rows()),
        "samples": evaluation.label_samples(fret_table, count=12, seed=params.seed).to_dicts(),
        "figures": [audit.score_plot.to_json(), audit.rank_plot.to_json()],
    }
    logger.info(
        "audit_labels: the teacher replaced %.1f %% of the seed passages (paper: about 15 %%)",
        100 * audit.metrics.get("replaced_seeds", 0.0),
    )
    return audit.metrics, audit.score_plot, audit.rank_plot, shown
