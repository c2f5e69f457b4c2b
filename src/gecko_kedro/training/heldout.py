"""Rows kept out of training: how well they are found, and when to stop."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from transformers import TrainerCallback

from gecko_kedro.base import events
from gecko_kedro.base.files import atomic_path, write_text
from gecko_kedro.encoder.encoding import encode_texts
from gecko_kedro.encoder.formatting import Templates
from gecko_kedro.encoder.model import Encoder
from gecko_kedro.training.adapters import trained_weights
from gecko_kedro.training.examples import render_examples
from gecko_kedro.training.job import Job
from gecko_kedro.training.mixture import text_ids
from gecko_kedro.training.ranks import from_main, is_main

logger = logging.getLogger(__name__)

METRIC = "heldout_ndcg_at_10"
_BATCH = 64


def split_heldout(
    examples: pl.DataFrame, *, rows: int, seed: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(to train on, held out): ``rows`` at random; no query or positive is on both sides."""
    if rows == 0:
        return examples, examples.clear()
    drawn = np.random.default_rng([seed, rows]).permutation(examples.height)[:rows]
    ids = text_ids(examples)
    shared = np.isin(ids.query, ids.query[drawn]) | np.isin(ids.positive, ids.positive[drawn])
    return examples.filter(~pl.Series(shared)), examples[np.sort(drawn)]


def heldout_score(model: Encoder, heldout: pl.DataFrame, *, templates: Templates) -> float:
    """nDCG@10 of each query's positive among all passages of its data set, mean over the sets.

    The passages are the positives and negatives of the held-out rows; other positives of the same
    query do not count against it.
    """
    scores = []
    for part in heldout.partition_by("dataset", maintain_order=True):
        ids = text_ids(part)
        table = render_examples(part, templates=templates)
        passages = dict(zip(ids.positive.tolist(), table["positive"], strict=True))
        for negative_ids, texts in zip(ids.negatives, table["negatives"], strict=True):
            passages |= dict(zip(negative_ids, texts, strict=True))
        vectors = encode_texts(model, list(passages.values()), batch_size=_BATCH)
        queries = encode_texts(model, table["query"].to_list(), batch_size=_BATCH)
        similar = queries @ vectors.T  # (n, d) @ (d, passages)
        place = {text: i for i, text in enumerate(passages)}
        own = np.array([place[text] for text in ids.positive.tolist()])
        target = similar[np.arange(len(own)), own]
        for row, known in enumerate(ids.known):
            similar[row, [place[text] for text in known]] = -np.inf
        similar[np.arange(len(own)), own] = -np.inf
        ranks = 1 + (similar >= target[:, None]).sum(axis=1)
        scores.append(np.where(ranks <= 10, 1 / np.log2(1 + ranks), 0).mean())
    return float(np.mean(scores))


class HeldoutWatch(TrainerCallback):
    """Looks at the held-out rows every ``evaluation_steps``, keeps the best weights, stops in time.

    What it has seen lies in ``folder`` and outlives the process: a resumed run stops at the same
    step with the same best weights as an undisturbed one.
    """

    def __init__(
        self, model: Encoder, heldout: pl.DataFrame, job: Job, *, folder: Path, last_step: int
    ) -> None:
        self.model, self.heldout, self.job, self.last_step = model, heldout, job, last_step
        self.weights = folder / "best_weights.pt"
        self.file = folder / "heldout_scores.json"
        found = from_main(self._read)
        self.scores: dict[int, float] = {int(step): score for step, score in found.items()}

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        step = state.global_step
        if self.stopped_at(before=step):
            control.should_training_stop = control.should_log = True
            return
        if step % self.job.settings.evaluation_steps and step != self.last_step:
            return
        self.scores[step] = from_main(
            lambda: heldout_score(self.model, self.heldout, templates=self.job.templates)
        )
        self.model.train()
        if is_main():
            events.emit(self.job.name, step, {METRIC: self.scores[step]})
            if self.best(until=step) == step:
                with atomic_path(self.weights) as temporary:
                    torch.save(trained_weights(self.model), temporary)
            write_text(self.file, json.dumps(self.scores))
        if self.stopped_at(before=step + 1):
            best = self.best(until=step)
            logger.info("%s: stops at step %d, %s was best", self.job.name, step, best)
            control.should_training_stop = control.should_log = True

    def stopped_at(self, *, before: int) -> int | None:
        """The first step below ``before`` after which patience was at its end."""
        since, best = 0, -np.inf
        for step in sorted(step for step in self.scores if step < before):
            since, best = (0, self.scores[step]) if self.scores[step] > best else (since + 1, best)
            if since == self.job.settings.patience:
                return step
        return None

    def best(self, *, until: int) -> int | None:
        """The step with the highest score, the first of equals."""
        seen = sorted(step for step in self.scores if step <= until)
        return max(seen, key=self.scores.__getitem__, default=None)

    def restore_best(self) -> dict[str, float]:
        """Put the best weights back into the model; metrics about them."""
        stopped = self.stopped_at(before=self.last_step + 1)
        best = self.best(until=stopped or self.last_step)
        if best is None:
            return {}
        weights = torch.load(self.weights, map_location=self.model.device, weights_only=True)
        self.model.load_state_dict(weights, strict=False)  # the others have not changed
        return {METRIC: self.scores[best], "best_step": best, "stopped_early": stopped is not None}

    def _read(self) -> dict[str, float]:
        if not self.file.is_file() or not self.weights.is_file():
            return {}
        return dict(json.loads(self.file.read_text(encoding="utf-8")))
