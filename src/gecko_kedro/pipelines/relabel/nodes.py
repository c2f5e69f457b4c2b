"""Nodes of relabel: the teacher ranks the candidates; a better positive and a hard negative."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from gecko_kedro import fret
from gecko_kedro.base.progress import Progress
from gecko_kedro.base.shards import NO_SHARD, Shard, count_missing, missing_pieces
from gecko_kedro.pipelines._trial import checked
from gecko_kedro.teacher import TeacherSettings, teacher_name

logger = logging.getLogger(__name__)
_REPORTED_SAMPLES = 12


def judge_candidates(
    queries: pl.DataFrame,
    candidates: pl.DataFrame,
    passages: pl.DataFrame,
    finished: frozenset[int],
    adapted: Path | None,
    prepared: fret.PreparedTeacher,
    rankers: list[fret.Ranker],
    settings: fret.JudgeSettings,
) -> Iterator[tuple[Shard, Shard]]:
    """Query likelihood and relevance of each candidate by the teacher, shard by shard.

    The queries that were refused come first, so that a shard of judgements that is there has them
    there too.
    """
    size = settings.shard_size
    total = count_missing(queries, size=size, finished=finished)
    teacher = prepared.open(passages["text"], fret.ranker_calls(rankers) if total else [], adapted)
    if total == 0 and finished:
        yield NO_SHARD, NO_SHARD

    def judged(progress: Progress) -> Iterator[tuple[Shard, Shard]]:
        for piece in missing_pieces(queries, size=size, finished=finished):
            own = candidates.join(piece.rows.select("query_id"), on="query_id", how="semi")
            judgements, refused = fret.score_candidates(
                piece.rows, own, passages, teacher=teacher, prompts=prepared.prompts,
                rankers=rankers, settings=settings,
            )  # fmt: skip
            yield (
                Shard(piece.index, piece.total, refused),
                Shard(piece.index, piece.total, judgements),
            )
            progress.advance(piece.rows.height)

    with (
        teacher.reporting("relabel"),
        Progress("judge_candidates", total=total, unit="query") as progress,
        teacher.on_trial() as recent,
    ):

        def check(group: list[tuple[Shard, Shard]]) -> None:
            scores = pl.concat([judgements.table for _, judgements in group])
            ranked = candidates.join(scores, on=["query_id", "passage_id"])
            try:
                fret.refuse_worthless(ranked, queries, rankers)
            except fret.WorthlessRankerError as error:
                for call in fret.ranker_calls([error.ranker]):
                    recent.forget(call, lambda _: True)
                raise

        yield from checked(
            judged(progress),
            enough=lambda group: (
                sum(s.table["query_id"].n_unique() for _, s in group) >= fret.ENOUGH_QUERIES
            ),
            check=check,
            recent=recent,
        )


def fuse_rankings(
    candidates: pl.DataFrame,
    judgement_shards: pl.DataFrame,
    rankers: list[fret.Ranker],
    settings: fret.FuseSettings,
) -> pl.DataFrame:
    """One ranking out of those of the rankers (appendix A), for the queries that were judged.

    The others have no ranking, so ``choose_examples`` sets them aside.
    """
    judged = fret.judged_candidates(candidates, judgement_shards)
    rankings = fret.fuse_rankings(judged, judgement_shards, settings, rankers=rankers)
    logger.info(
        "fuse_rankings: %d judgements, %s, k = %g, %s",
        rankings.height, settings.method, settings.k, " + ".join(rankers),
    )  # fmt: skip
    return rankings


def choose_examples(
    rankings: pl.DataFrame,
    queries: pl.DataFrame,
    passages: pl.DataFrame,
    refused_query_shards: pl.DataFrame,
    settings: fret.ChooseSettings,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The positive and the hard negative of each query (section 3.2); refused queries go."""
    refused = refused_query_shards.rename({"row_id": "query_id"})
    asked = queries.join(refused, on="query_id", how="anti", maintain_order="left")
    chosen, quarantine = fret.choose_examples(rankings, asked, passages, settings)
    logger.info(
        "choose_examples: %d FRet rows, %d in quarantine, %d refused by the teacher",
        chosen.height, quarantine.height, refused.height,
    )  # fmt: skip
    return chosen, pl.concat([refused_query_shards, quarantine])


def describe_fret(
    fret_table: pl.DataFrame,
    prompts: dict[str, Any],
    source: str,
    teacher_settings: TeacherSettings,
    rankers: list[fret.Ranker],
    judging: fret.JudgeSettings,
    fusing: fret.FuseSettings,
    choosing: fret.ChooseSettings,
) -> str:
    """The data card of the FRet table."""
    return fret.fret_card(
        fret_table,
        file="fret.parquet",
        source=source,
        teacher=teacher_name(teacher_settings),
        teacher_is_language_model=teacher_settings.backend != "lexical",
        prompt_versions=fret.Prompts.model_validate(prompts).versions(),
        settings={
            "rankers": rankers,
            **judging.model_dump(include={"max_query_tokens", "max_passage_tokens"}),
            **{f"fuse.{name}": value for name, value in fusing},
            **{f"choose.{name}": value for name, value in choosing},
        },
    )


def sample_labels(
    rankings: pl.DataFrame,
    fret_table: pl.DataFrame,
    passages: pl.DataFrame,
    teacher_settings: TeacherSettings,
    settings: fret.AuditSettings,
) -> tuple[pl.DataFrame, str]:
    """Rows of FRet to read, passages side by side: a table and a page."""
    samples = fret.label_sample(fret_table, rankings, passages, settings)
    return samples, fret.label_sample_page(samples, teacher=teacher_name(teacher_settings))


def audit_labels(
    rankings: pl.DataFrame,
    fret_table: pl.DataFrame,
    label_samples: pl.DataFrame,
    queries_quarantine: pl.DataFrame,
    fret_quarantine: pl.DataFrame,
    prompts: dict[str, Any],
    teacher_settings: TeacherSettings,
) -> tuple[Any, ...]:
    """What the labels look like: numbers, plots, and what the report shows of them."""
    metrics, plots = fret.audit_labels(rankings, fret_table)
    rejected = pl.concat([queries_quarantine, fret_quarantine])
    shown = {
        "teacher": teacher_name(teacher_settings),
        "prompt_versions": fret.Prompts.model_validate(prompts).versions(),
        "facts": metrics,
        "shares": [name for name in metrics if name in fret.AUDIT_SHARES],
        "rejected": fret.reject_examples(rejected, kept=fret_table.height),
        "samples": label_samples.head(_REPORTED_SAMPLES).to_dicts(),
        "figures": [plot.to_json() for plot in plots],
    }
    logger.info(
        "audit_labels: the teacher replaced %.1f %% of the seed passages (paper: about 15 %%)",
        100 * metrics.get("replaced_seeds", 0.0),
    )
    return metrics, *plots, shown
