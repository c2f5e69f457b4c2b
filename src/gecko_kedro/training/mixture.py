"""Which rows are trained on, and in which batches: all of it decided before the first step."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

import numpy as np
import numpy.typing as npt
import polars as pl

from gecko_kedro.base.errors import InputError
from gecko_kedro.base.text import normalised
from gecko_kedro.training.examples import EXAMPLE_SCHEMA

Rows = npt.NDArray[np.int64]

# Batches that wait for rows at the same time; bounds the work where all rows share one passage.
_OPEN_BATCHES = 64


def mix_examples(
    sets: Mapping[str, pl.DataFrame], rates: Mapping[str, float], seed: int
) -> pl.DataFrame:
    """One EXAMPLE table from several: a row of set ``s`` is seen ``rates[s]`` times an epoch.

    1 takes every row once, 0.25 a random quarter of them, 2.5 every row twice and a random half
    once more, 0 none. A set that has no rate, or a rate that has no set, raises InputError.
    """
    if sets.keys() != rates.keys() or any(rate < 0 for rate in rates.values()):
        raise InputError(
            "mixture rates",
            expected=f"a rate of at least 0 for each of {sorted(sets)}",
            got=dict(rates),
            fix="Write one rate a set; 0 leaves a set out.",
        )
    parts = [pl.DataFrame(schema=EXAMPLE_SCHEMA)]
    for number, name in enumerate(sorted(sets)):
        examples, rate = sets[name], rates[name]
        whole, wanted = int(rate), round(rate * examples.height)
        generator = np.random.default_rng([seed, number])
        rest = generator.permutation(examples.height)[: wanted - whole * examples.height]
        parts += [examples] * whole
        parts.append(examples[np.sort(rest)])
    return pl.concat(parts)


@dataclass(frozen=True)
class BatchPlan:
    """The batches of a whole run: row numbers of the examples, in the order of the steps."""

    batches: tuple[Rows, ...]
    epoch_ends: tuple[int, ...]  # steps done when each epoch ends
    left_out: int  # rows of the first epoch that are in no batch

    def epoch(self, step: int) -> float:
        """How many epochs are done after ``step`` steps."""
        ends = (0, *self.epoch_ends)
        return float(np.interp(step, ends, np.arange(len(ends))))


def plan_batches(
    examples: pl.DataFrame,
    *,
    batch_size: int,
    epochs: int,
    max_steps: int | None,
    seed: int,
    fewest_rows: int = 1,
) -> BatchPlan:
    """The same batches for the same arguments, so that a resumed run only skips those done.

    The rows of a batch come from one data set and no query or positive of a row occurs in another.
    Rows may share a hard negative, which equation 3 sets against its own query only. A batch is
    short where no further row fits. A single row without a negative teaches nothing (its loss is
    exactly 0): it is left out and counted, unless that is all there is. So is a batch of less than
    ``fewest_rows``, the number of processes that share it. ``max_steps`` ends the run earlier than
    ``epochs``. Length plays no part: ``passes.plan_passes`` sees to that.
    """
    texts = text_ids(examples)
    parts = examples.with_row_index("row").partition_by("dataset", maintain_order=True)
    groups = [part["row"].cast(pl.Int64).to_numpy() for part in parts]
    planned: list[list[Rows]] = []
    for epoch in range(epochs):
        if max_steps is not None and sum(map(len, planned)) >= max_steps:
            break
        batches: list[Rows] = []
        for number, rows in enumerate(groups):
            generator = np.random.default_rng([seed, epoch, number])
            batches += _without_repeated_texts(generator.permutation(rows), texts, batch_size)
        order = np.random.default_rng([seed, epoch]).permutation(len(batches))
        drawn = [batches[i] for i in order]
        useful = [batch for batch in drawn if len(batch) > 1 or texts.negatives[batch[0]]]
        planned.append([b for b in useful or batches[:1] if len(b) >= fewest_rows])
    left_out = examples.height - sum(map(len, planned[0]))
    ends = tuple(accumulate(map(len, planned)))
    steps = [batch for batches in planned for batch in batches][:max_steps]
    return BatchPlan(tuple(steps), ends, left_out)


@dataclass(frozen=True)
class TextIds:
    """Ids of the texts of n rows; one text by ``base.text`` has one id.

    query, positive: (n,); negatives: n lists; known: n lists, all positives of the row's query
    where there are several, else empty.
    """

    query: Rows
    positive: Rows
    negatives: list[list[int]]
    known: list[list[int]]


def text_ids(examples: pl.DataFrame) -> TextIds:
    """The ids of all texts of ``examples``."""
    n = examples.height
    negatives = examples["negatives"].explode().drop_nulls()
    columns = [examples["query"], examples["positive"], negatives.struct.field("text")]
    texts = pl.concat([column.alias("text") for column in columns]).to_frame()
    ids = texts.select(normalised(pl.col("text")).rank("dense").cast(pl.Int64)).to_series()
    ends = examples["negatives"].list.len().cum_sum().to_list()
    flat = ids[2 * n :].to_list()
    pairs = pl.DataFrame({"query": ids[:n], "positive": ids[n : 2 * n]})
    known = pairs.group_by("query").agg(known=pl.col("positive").unique(maintain_order=True))
    several = known.filter(pl.col("known").list.len() > 1)
    of_row = pairs.join(several, on="query", how="left", maintain_order="left")["known"]
    return TextIds(
        query=pairs["query"].to_numpy(),
        positive=pairs["positive"].to_numpy(),
        negatives=[flat[start:end] for start, end in pairwise((0, *ends))],
        known=[ids or [] for ids in of_row.to_list()],
    )


@dataclass
class _OpenBatch:
    """A batch that waits for rows: their numbers, their queries and positives, their negatives."""

    rows: list[int] = field(default_factory=list)
    pairs: set[int] = field(default_factory=set)
    negatives: set[int] = field(default_factory=set)

    def takes(self, pair: set[int], negatives: list[int]) -> bool:
        """Whether a row with these texts may join."""
        taken = pair & self.pairs or pair & self.negatives or self.pairs.intersection(negatives)
        return not taken


def _without_repeated_texts(rows: Rows, texts: TextIds, batch_size: int) -> list[Rows]:
    """First fit: a row joins the oldest open batch that it may join."""
    done: list[_OpenBatch] = []
    opened: list[_OpenBatch] = []
    for row in rows.tolist():
        pair, negatives = {int(texts.query[row]), int(texts.positive[row])}, texts.negatives[row]
        place = next((batch for batch in opened if batch.takes(pair, negatives)), None)
        if place is None:
            if len(opened) == _OPEN_BATCHES:
                done.append(opened.pop(0))
            place = _OpenBatch()
            opened.append(place)
        place.rows.append(row)
        place.pairs |= pair
        place.negatives.update(negatives)
        if len(place.rows) == batch_size:
            opened.remove(place)
            done.append(place)
    return [np.array(batch.rows, dtype=np.int64) for batch in (*done, *opened)]
