"""From the parameters of a run to what the arithmetic wants to know of it."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from gecko_kedro import corpus, estimation, training
from gecko_kedro.params import Parameters, check_parameters
from gecko_kedro.teacher.usage import Prices
from gecko_kedro.training.examples import EXAMPLE_SCHEMA
from gecko_kedro.training.settings import TrainSettings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Estimate:
    """The table for the log, and the same as JSON."""

    text: str
    content: dict[str, Any]


def plan_run(
    measures: estimation.Measures, *, logged: int, prices: Prices, parameters: Mapping[str, Any]
) -> Estimate:
    """What the run of ``parameters`` costs; ``logged`` queries come from a log."""
    known = check_parameters(parameters)
    size = _size(measures, known, logged)
    costs = estimation.run_costs(
        measures,
        size,
        plans=_training_plans(known, size),
        n_candidates=known.mine.search.n_candidates,
        queries_per_passage=known.synthesize.write.queries_per_passage,
    )
    total = estimation.total_cost(costs)
    if known.pretrain.sources or known.finetune.sources:
        logger.warning("estimate_run: training sets from outside (sources) are not in the estimate")
    if size.queries * size.passages > known.mine.route.exact_max_pairs:
        logger.warning(
            "estimate_run: beyond mine.route.exact_max_pairs the run searches approximately; the "
            "time of mine.search_candidates is that of the exact search all the same"
        )
    if known.mine.popularity.temperature is not None:
        logger.warning("estimate_run: mine.measure_popularity is not in the estimate")
    heading = (
        f"Estimate for {size.passages:,} passages and {size.queries:,} queries on this machine "
        f"(evaluation and stages of seconds left out):"
    )
    content = {
        "size": asdict(size),
        "stages": {cost.stage: _plain(asdict(cost)) for cost in costs},
        "all": _plain(asdict(total)) | {"cost": prices.cost(total.usage)},
    }
    return Estimate(f"{heading}\n{estimation.cost_table(costs, prices=prices)}", content)


def _plain(cost: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in cost.items() if name != "stage"}


def _size(measures: estimation.Measures, known: Parameters, logged: int) -> estimation.RunSize:
    replaced = known.queries.source is not None and known.queries.join.use == "replace"
    limit = known.queries.join.max_queries
    return estimation.run_size(
        measures.corpus,
        passages=known.estimate.passages,
        max_passages=known.corpus.heldout.max_passages,
        n_seeds=0 if replaced else known.synthesize.sample.n_seeds,
        queries_per_passage=known.synthesize.write.queries_per_passage,
        logged_queries=logged if limit is None else min(limit, logged),
    )


def _training_plans(
    known: Parameters, size: estimation.RunSize
) -> dict[str, estimation.TrainingPlan]:
    most = known.pretrain.select.max_pairs
    pairs = size.pairs if most is None else most
    rates = known.finetune.mix.rates
    mixed = rates["fret"] * size.queries + rates["natural_pairs"] * size.pairs
    plans = {
        "mine": _plan(size.queries, known.mine.train),
        "pretrain": _plan(pairs, known.pretrain.train),
        "finetune": _plan(round(mixed), known.finetune.train, runs=known.finetune.runs),
    }
    if known.mine.seed_retriever == "given":
        del plans["mine"]
    return plans


def _plan(rows: int, settings: TrainSettings, *, runs: int = 1) -> estimation.TrainingPlan:
    return estimation.TrainingPlan(
        rows=rows,
        batch_size=settings.batch_size,
        epochs=settings.epochs * runs,
        max_steps=None if settings.max_steps is None else settings.max_steps * runs,
        checkpoint_steps=settings.checkpoint_steps,
    )


def training_examples(
    passages: pl.DataFrame, queries: pl.DataFrame, *, kinds: Sequence[str], rows: int
) -> dict[str, pl.DataFrame]:
    """At most ``rows`` examples as long as each stage's: written queries, natural pairs, FRet.

    In FRet's the seed stands for the positive and another passage for the hard negative. Where the
    sample has no seeded query or no natural pair, the other kind stands for it.
    """
    seeded = training.from_seed_queries(queries, passages).rows
    natural = training.from_pairs(corpus.collect_pairs(passages, kinds=kinds).rows).rows
    # A batch has rows of one data set, and no text twice.
    most = natural["dataset"].mode().sort()
    natural = natural.filter(pl.col("dataset").is_in(most[:1].implode()))
    seeded = seeded.unique("positive", keep="first", maintain_order=True).head(rows)
    natural = natural.unique("positive", keep="first", maintain_order=True).head(rows)
    seeded = natural if seeded.is_empty() else seeded
    natural = seeded if natural.is_empty() else natural
    others = passages.filter(~pl.col("text").is_in(seeded["positive"].implode()))
    return {"mine": seeded, "pretrain": natural, "finetune": _with_negatives(seeded, others)}


def _with_negatives(examples: pl.DataFrame, others: pl.DataFrame) -> pl.DataFrame:
    texts = others.select("title", "text").head(examples.height).rows()
    lists = [[{"title": title, "text": text}] for title, text in texts]
    lists += [[]] * (examples.height - len(lists))
    return examples.with_columns(pl.Series("negatives", lists, dtype=EXAMPLE_SCHEMA["negatives"]))
