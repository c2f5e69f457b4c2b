"""Nodes of relabel: the teacher ranks the candidates; a better positive and a hard negative."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from gecko_kedro import fret
from gecko_kedro.params import RelabelParams
from gecko_kedro.progress import Progress
from gecko_kedro.shards import Shard, count_missing, missing_pieces
from gecko_kedro.teacher import TeacherSettings, build_teacher

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
    teacher = build_teacher(teacher_settings, texts=passages["text"], store=store)
    total = count_missing(queries, size=params.shard_size, finished=finished)
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


def audit_labels(rankings: pl.DataFrame, fret_table: pl.DataFrame) -> tuple[Any, ...]:
    """What the labels look like: numbers, plots and a sample to read."""
    audit = fret.audit_labels(rankings, fret_table)
    logger.info(
        "audit_labels: the teacher replaced %.1f %% of the seed passages (paper: about 15 %%)",
        100 * audit.metrics["replaced_seeds"],
    )
    return audit.metrics, audit.score_plot, audit.rank_plot, audit.sample
