"""How large a run is: rows of each kind, from the sample and the parameters."""

import math
from dataclasses import dataclass

from gecko_kedro.estimation.measured import CorpusMeasure


@dataclass(frozen=True)
class RunSize:
    """Rows of a run. ``queries`` counts no rejects, so it is the most that there can be."""

    documents: int
    passages: int  # searched and trained on
    seeds: int
    queries: int
    pairs: int  # natural pairs, of all passages


@dataclass(frozen=True)
class TrainingPlan:
    """How long a stage trains, and on how many rows."""

    rows: int
    batch_size: int
    epochs: int
    max_steps: int | None
    checkpoint_steps: int

    @property
    def steps(self) -> int:
        """Optimiser steps, if every batch can be filled."""
        whole = self.epochs * math.ceil(self.rows / self.batch_size)
        return whole if self.max_steps is None else min(whole, self.max_steps)

    @property
    def rows_seen(self) -> int:
        """Rows of all steps together."""
        return min(self.epochs * self.rows, self.steps * self.batch_size)

    @property
    def checkpoints(self) -> int:
        """Checkpoints that are written; the last step writes one."""
        return math.ceil(self.steps / self.checkpoint_steps)


def documents_with_seeds(documents: int, *, queries: int, n_seeds: int) -> int:
    """How many of ``documents``, drawn at random, have ``queries`` of the run's ``n_seeds`` seeds.

    A share f of the documents has about f ``n_seeds`` of them, with the square root of that as
    standard deviation: four of it, and a few more for small numbers, make it nearly certain.
    """
    wanted = queries + 4 * math.sqrt(queries) + 8
    return min(documents, math.ceil(documents * wanted / n_seeds))


def run_size(
    corpus: CorpusMeasure,
    *,
    passages: int | None,
    max_passages: int | None,
    n_seeds: int,
    queries_per_passage: int,
    logged_queries: int = 0,
) -> RunSize:
    """The size of a run on a corpus that is like its sample.

    ``passages`` replaces what the sample tells of the corpus, for a run on paper; documents grow
    along. ``logged_queries`` come from a query log. Duplicates are rarer in a sample than in its
    corpus, so the number of passages is rather too high.
    """
    per_document = corpus.training_passages / corpus.sampled_documents
    found = round(per_document * corpus.documents)
    documents = corpus.documents
    if passages is not None:
        found, documents = passages, max(1, round(passages / per_document))
    kept = found if max_passages is None or passages is not None else min(found, max_passages)
    seeds = min(n_seeds, kept)
    return RunSize(
        documents=documents,
        passages=kept,
        seeds=seeds,
        queries=seeds * queries_per_passage + logged_queries,
        pairs=round(kept * corpus.natural_pairs / corpus.training_passages),
    )
