"""Scores of rankings that nobody embedded: a labeller's, against human judgements."""

import polars as pl

from gecko_kedro.evaluation.scoring.schemas import PER_QUERY_SCHEMA

MEASURES = ("ndcg_at_10", "accuracy")


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
    for query_id, passage_id, rank in ranking.select(
        "query_id", "passage_id", "fused_rank"
    ).iter_rows():
        if query_id in run:
            run[query_id][passage_id] = -float(rank)
    evaluated = pytrec_eval.RelevanceEvaluator(judged, {"ndcg_cut.10"}).evaluate(run)
    rows = []
    for query_id, relevance in judged.items():
        first = next((passage for passage, rank in run[query_id].items() if rank == -1), "")
        values = (
            evaluated.get(query_id, {}).get("ndcg_cut_10", 0.0),
            float(relevance.get(first, 0) > 0),
        )
        rows += [
            {"task": measure, "query_id": query_id, "score": value}
            for measure, value in zip(MEASURES, values, strict=True)
        ]
    return pl.DataFrame(rows, schema=PER_QUERY_SCHEMA)
