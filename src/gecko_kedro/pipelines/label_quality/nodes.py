"""Nodes of label_quality: what the teacher's labels are worth, where people have judged."""

import logging
from pathlib import Path
from typing import Any

import polars as pl

from gecko_kedro import encoder, evaluation, fret, retrieval, training
from gecko_kedro.base.errors import InputError
from gecko_kedro.encoder.settings import LoadSettings
from gecko_kedro.evaluation.comparing import label_quality as quality
from gecko_kedro.evaluation.reporting.plots import label_quality_plot
from gecko_kedro.evaluation.reporting.terminal import label_quality_text
from gecko_kedro.evaluation.scoring.items import score_ranking
from gecko_kedro.evaluation.tasks.judged import JudgedSettings, half_of, sample_judged
from gecko_kedro.evaluation.tasks.retrieval import CheckedData
from gecko_kedro.teacher import TeacherSettings, teacher_name

logger = logging.getLogger(__name__)


def select_judged(
    judged_data: CheckedData | None,
    natural_pairs: pl.DataFrame,
    passages: pl.DataFrame,
    prepared: fret.PreparedTeacher,
    settings: JudgedSettings,
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Queries with judgements, their relevant passages, and others to find them among.

    Without judgements natural pairs of the corpus itself, which no adaptation has learned from:
    the passage that a summary or title belongs to is the relevant one.
    """
    if judged_data is None and natural_pairs.is_empty():
        raise InputError(
            "label_quality.data",
            expected="a folder with a corpus, queries and judgements, or natural pairs of a run",
            got=None,
            fix="kedro run --pipelines synthesize first, or "
            "kedro run --pipelines label_quality --params label_quality.data=FOLDER",
        )
    if judged_data is None:
        pairs = training.heldout_pairs(natural_pairs, prepared.teacher.adapt)
        data = evaluation.RetrievalData(
            "natural-pairs",
            passages.select("title", "text", id="passage_id"),
            pairs.select("group", id="pair_id", text="query"),
            pairs.select("passage_id", query_id="pair_id", score=pl.lit(1)),
        )
        logger.info("select_judged: no label_quality.data, so natural pairs of the corpus")
    else:
        data = judged_data.data
    queries, passages, qrels = sample_judged(data, settings)
    logger.info(
        "select_judged: %d of %d queries, %d of %d passages",
        queries.height, data.queries.height, passages.height, data.corpus.height,
    )  # fmt: skip
    return fret.as_queries(queries, task_name=data.task), passages, qrels


def find_candidates(
    judged_queries: pl.DataFrame,
    judged_passages: pl.DataFrame,
    load: LoadSettings,
    max_seq_length: int,
    n_candidates: int,
) -> pl.DataFrame:
    """The top N passages of each query by the initial embedder, which the labeller is to beat.

    It reads its own prompts, not Gecko's templates, which nobody has trained it on.
    """
    model = load.load(max_seq_length=max_seq_length)
    own = encoder.own_templates(model.prompts)
    sides = (
        (encoder.render_query, judged_queries.select("task_name", "query")),
        (encoder.render_passage, judged_passages.select("title", "text")),
    )
    texts = ([render(*row, templates=own) for row in rows.rows()] for render, rows in sides)
    queries, passages = (
        encoder.encode_texts(model, side, batch_size=load.batch_size) for side in texts
    )
    found = retrieval.open_exact(passages).search(queries, n_candidates)
    return fret.candidates_with_seeds(
        judged_queries,
        passage_ids=judged_passages["passage_id"],
        ids=found.ids,
        scores=found.scores,
        seed_scores=found.scores[:, 0],  # a judged query has no seed passage
    )


def judge_candidates(
    judged_queries: pl.DataFrame,
    judged_candidates: pl.DataFrame,
    judged_passages: pl.DataFrame,
    adapted: Path | None,
    prepared: fret.PreparedTeacher,
    rankers: list[fret.Ranker],
    settings: fret.JudgeSettings,
) -> pl.DataFrame:
    """Query likelihood and relevance of each candidate, as relabel asks for them."""
    teacher = prepared.open(judged_passages["text"], fret.ranker_calls(rankers), adapted)
    with teacher.reporting("label_quality"):
        judgements, refused = fret.score_candidates(
            judged_queries, judged_candidates, judged_passages, teacher=teacher,
            prompts=prepared.prompts, rankers=rankers, settings=settings,
        )  # fmt: skip
    if refused.height:
        logger.warning(
            "judge_candidates: %d of %d queries are left out, since the teacher refused a "
            "candidate of theirs; the first: %s",
            refused.height, judged_queries.height, refused["detail"][0],
        )  # fmt: skip
    return judgements


def measure_labels(
    judged_candidates: pl.DataFrame,
    judged_judgements: pl.DataFrame,
    judged_qrels: pl.DataFrame,
    teacher_settings: TeacherSettings,
    rankers: list[fret.Ranker],
    fusing: fret.FuseSettings,
    settings: quality.LabelQualitySettings,
) -> tuple[pl.DataFrame, dict[str, Any], Any]:
    """nDCG@10 and accuracy of p+ by each ranker and their fusions (the paper's table 6)."""
    candidates = fret.judged_candidates(judged_candidates, judged_judgements)
    rankings = {
        " + ".join(one): fret.fuse_rankings(candidates, judged_judgements, fusing, rankers=one)
        for one in fret.ranker_sets(rankers)
    }
    asked = judged_qrels.join(candidates, on="query_id", how="semi", maintain_order="left")
    qrels = half_of(asked, settings.fold, seed=settings.seed)
    scores = {name: score_ranking(ranking, qrels) for name, ranking in rankings.items()}
    table = quality.label_quality(scores, qrels, settings)
    metrics = {
        "teacher": teacher_name(teacher_settings),
        "queries": table["queries"][0],
        **quality.label_quality_metrics(table),
    }
    logger.info("measure_labels:\n%s", label_quality_text(table))
    return table, metrics, label_quality_plot(table)
