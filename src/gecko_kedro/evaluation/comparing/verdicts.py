"""The results in words, and the table by category with the paper's own rows."""

from collections.abc import Mapping

import polars as pl

from gecko_kedro.evaluation.comparing.comparison import OVERALL, Comparison

CATEGORIES = (
    "Classification", "Clustering", "PairClassification", "Reranking", "Retrieval", "STS",
    "Summarization",
)  # fmt: skip
CATEGORY_SCHEMA = pl.Schema(
    {
        "model": pl.String,
        "dimension": pl.Int64,
        "source": pl.String,  # this run, or the paper's own: other size, data and tasks
        "tasks": pl.Int64,
        **dict.fromkeys(CATEGORIES, pl.Float64),  # means of main scores, 0 to 1; null: no task
        "all": pl.Float64,
    }
)
THIS_RUN = "this run"
_PAPER = "paper's own: other size, data and tasks"
_METRICS = {
    "ndcg_at_10": "nDCG@10", "map_at_1000": "MAP", "cosine_spearman": "Spearman", "max_ap": "AP",
    "v_measure": "V-measure",
}  # fmt: skip
_SAID = {
    "better": "is better than the base",
    "worse": "is worse than the base",
    "not shown": "is not shown to differ from the base",
}


def metric_name(metric: str) -> str:
    """A metric of mteb as the field writes it."""
    return _METRICS.get(metric, metric.replace("_", " "))


def headline(comparison: Comparison) -> str:
    """``sentences`` as one paragraph."""
    return " ".join(sentences(comparison))


def sentences(comparison: Comparison) -> list[str]:
    """An honest sentence on the tuned model at full width: over all tasks first, then each."""
    results = comparison.results.sort(pl.col("task") != OVERALL, maintain_order=True)
    return [
        _sentence(str(task), rows, comparison.names)
        for (task,), rows in results.group_by("task", maintain_order=True)
    ]


def category_table(
    results: pl.DataFrame, paper: Mapping[str, Mapping[str, float]] | None = None
) -> pl.DataFrame:
    """CATEGORY_SCHEMA: mean main scores by category of task, and the paper's rows below them.

    ``paper``: percentages by category and ``all``, by model. A mean is over the tasks that
    the model has a result on; ``tasks`` counts them.
    """
    rows = []
    single = results.filter(pl.col("task") != OVERALL)
    keys = ["model", "dimension"]
    for (model, dimension), of_model in single.group_by(keys, maintain_order=True):
        means = dict(of_model.group_by("type").agg(pl.col("score").mean()).iter_rows())
        rows.append(
            {"model": model, "dimension": dimension, "source": THIS_RUN, "tasks": of_model.height,
             **{name: means.get(name) for name in CATEGORIES}, "all": of_model["score"].mean()}
        )  # fmt: skip
    for model, scores in (paper or {}).items():
        name = model.partition(",")[0]
        width = name.rpartition("-")[2]
        rows.append(
            {"model": model, "dimension": int(width) if width.isdigit() else None,
             "source": _PAPER, "tasks": 56,
             **{name: scores[name] / 100 for name in (*CATEGORIES, "all")}}
        )  # fmt: skip
    return pl.DataFrame(rows, schema=CATEGORY_SCHEMA)


def _sentence(task: str, rows: pl.DataFrame, names: Mapping[str, str]) -> str:
    tuned, base = (rows.filter(model=names[part]).to_dicts() for part in ("tuned", "base"))
    if not tuned or not base:
        return f"On {task} there is no result to judge."
    row, before = tuned[0], base[0]["score"]
    moved = f"{metric_name(row['metric'])} {before:.3f} to {row['score']:.3f}"
    if row["verdict"] is None:
        return f"On {task} the tuned model has no interval: {moved}."
    sure = f"95 % interval of the difference {row['low']:+.3f} to {row['high']:+.3f}"
    size = f"{row['queries']:,} queries in {row['groups']:,} groups"
    if row["verdict"] == "not shown" and row["groups"] < 2:
        said = "cannot be judged against the base, as all queries are of one group"
        return f"On {task} the tuned model {said}: {moved}, {size}."
    return f"On {task} the tuned model {_SAID[row['verdict']]}: {moved} ({sure}; {size})."
