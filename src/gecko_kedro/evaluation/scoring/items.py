"""Scores of single items, for the intervals: of a task of mteb, or of a labeller's ranking."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from scipy.stats import spearmanr

from gecko_kedro.evaluation.scoring.score_table import PER_QUERY_SCHEMA

MEASURES = ("ndcg_at_10", "accuracy")  # of a labeller's ranking
_KEPT_PASSAGES = 10
# mteb's name of a main score -> trec_eval's name of it for a single query.
_SINGLE = {"ndcg_at_": "ndcg_cut_", "map_at_": "map_cut_", "recall_at_": "recall_"}

Item = dict[str, Any]


def score_items(
    task: Any, task_type: str, main_score: str, scores: Mapping[str, Any]
) -> list[Item]:
    """``query_id, score`` and ``gold`` or ``top_ids`` of each item behind a task's main score.

    ``task`` is a ``KeepsPredictions``, ``scores`` the scores of its one subset and split. The
    list is empty where the score is no function of single items that mteb gives away.
    """
    if task_type in {"Retrieval", "Reranking"}:
        return _of_queries(task, main_score)
    if task_type == "Clustering":
        found = scores.get("v_measures", [])
        sets = [v for level in found.values() for v in level] if isinstance(found, dict) else found
        return _items(sets)
    made = {
        "STS": _of_similarities,
        "PairClassification": _of_similarities,
        "Classification": _of_labels,
        "Summarization": _of_summaries,
    }.get(task_type)
    return [] if made is None or task.predictions is None else made(task)


def _best(ranked: Mapping[str, float]) -> list[str]:
    """The ten best passage ids; ties go to the higher id, as in trec_eval."""
    order = sorted(ranked.items(), key=lambda item: (item[1], item[0]), reverse=True)
    return [passage for passage, _ in order[:_KEPT_PASSAGES]]


def _of_queries(task: Any, main_score: str) -> list[Item]:
    prefix = next((name for name in _SINGLE if main_score.startswith(name)), None)
    if prefix is None or task.query_scores is None:
        return []
    single = _SINGLE[prefix] + main_score.removeprefix(prefix)
    return [
        {"query_id": query, "score": values[single], "top_ids": _best(task.ranked[query])}
        for query, values in sorted(task.query_scores.items())
    ]


def _of_similarities(task: Any) -> list[Item]:
    column = "score" if "score" in task.gold.column_names else task.label_column_name
    return _items(task.predictions["cosine_scores"], list(task.gold[column]))


def _of_labels(task: Any) -> list[Item]:
    """The share of the experiments that got each text right."""
    labels = np.asarray(task.gold[task.label_column_name])
    right = np.mean([np.asarray(predicted) == labels for predicted in task.predictions], axis=0)
    return _items(right.tolist())


def _of_summaries(task: Any) -> list[Item]:
    """The rank correlation of each text; mteb leaves texts out whose scores are all equal."""
    pairs = zip(task.predictions["human_scores"], task.predictions["cosine_scores"], strict=True)
    return _items([float(spearmanr(human, cosine).statistic) for human, cosine in pairs])


def _items(scores: Sequence[float], gold: Sequence[float] | None = None) -> list[Item]:
    known = [None] * len(scores) if gold is None else map(float, gold)
    return [
        {"query_id": f"{row:06}", "score": float(score), "gold": truth}
        for row, (score, truth) in enumerate(zip(scores, known, strict=True))
    ]


def score_ranking(ranking: pl.DataFrame, qrels: pl.DataFrame) -> pl.DataFrame:
    """PER_QUERY_SCHEMA of every judged query, a task for each of ``MEASURES``.

    ``ranking``: query_id, passage_id, fused_rank. ``qrels``: query_id, passage_id, score; above 0
    is relevant, the gain is the score. ``ndcg_at_10`` is trec_eval's, so that a relevant passage
    that is no candidate counts too. ``accuracy`` says whether the first candidate is relevant.
    """
    import pytrec_eval

    judged: dict[str, dict[str, int]] = {}
    for query_id, passage_id, score in qrels.select("query_id", "passage_id", "score").iter_rows():
        judged.setdefault(query_id, {})[passage_id] = score
    run: dict[str, dict[str, float]] = {query_id: {} for query_id in judged}
    ranked = ranking.filter(pl.col("query_id").is_in(list(judged)))
    for query_id, passage_id, rank in ranked["query_id", "passage_id", "fused_rank"].iter_rows():
        run[query_id][passage_id] = -float(rank)
    evaluated = pytrec_eval.RelevanceEvaluator(judged, {"ndcg_cut.10"}).evaluate(run)
    rows = []
    for query_id, relevance in judged.items():
        first = next((passage for passage, rank in run[query_id].items() if rank == -1), "")
        right = float(relevance.get(first, 0) > 0)
        ndcg = evaluated.get(query_id, {}).get("ndcg_cut_10", 0.0)
        rows += [
            {"task": measure, "query_id": query_id, "score": value}
            for measure, value in zip(MEASURES, (ndcg, right), strict=True)
        ]
    return pl.DataFrame(rows, schema=PER_QUERY_SCHEMA)
