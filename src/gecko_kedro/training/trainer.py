"""Train an encoder on the unified format, resumable at any moment."""

import logging
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import torch

from gecko_kedro.base.errors import InputError, Words
from gecko_kedro.encoder.formatting import GECKO, Templates, prompts_by_name
from gecko_kedro.encoder.loading import length_of, limit_length, quiet_loading, set_length
from gecko_kedro.encoder.model import Encoder
from gecko_kedro.encoder.record import add_stage
from gecko_kedro.training import ranks
from gecko_kedro.training.adapters import adapted, check_adaptable
from gecko_kedro.training.checkpoints import checkpoint_step, last_whole_checkpoint
from gecko_kedro.training.examples import EXAMPLE_SCHEMA, render_examples
from gecko_kedro.training.followers import call_followers
from gecko_kedro.training.job import Job, Loss, digest_of
from gecko_kedro.training.mixture import BatchPlan, plan_batches
from gecko_kedro.training.settings import LoraSettings, TrainSettings
from gecko_kedro.training.speed import trained_fast

if TYPE_CHECKING:
    from gecko_kedro.training.steps import PlannedTrainer

logger = logging.getLogger(__name__)

_MOST_TEXTS, _TEXTS_AT_ONCE = 100_000, 1_000  # whose tokens are counted
HISTORY_SCHEMA = pl.Schema(
    {
        "step": pl.Int64,  # optimiser steps done, from 1
        "epoch": pl.Float64,  # passes over the examples done
        "loss": pl.Float64,  # mean since the row before, summed over the Matryoshka dimensions
        "learning_rate": pl.Float64,
        "grad_norm": pl.Float64,  # before clipping to 1; nullable
    }
)


@dataclass(frozen=True)
class TrainResult:
    """The trained model (the one given, changed in place), its loss curve and a few numbers."""

    model: Encoder
    history: pl.DataFrame
    metrics: dict[str, float]


def train_encoder(
    model: Encoder,
    examples: pl.DataFrame,
    *,
    settings: TrainSettings | None = None,
    loss: Loss = "gecko",
    name: str = "train",
    checkpoints: Path | None = None,
    templates: Templates = GECKO,
    lora: LoraSettings | None = None,
) -> TrainResult:
    """Train ``model`` (float32 weights, changed in place) on EXAMPLE rows, as ``settings`` say.

    ``loss="in_batch"`` is equation 2 and ignores negatives; ``"gecko"`` is equation 3, with the
    departures of ``settings.loss``. Checkpoints go under ``checkpoints/name``, in a folder named
    after a digest of all that shapes the result: the same call again goes on from the last whole
    one. The caller deletes them with ``remove_checkpoints`` once the model is saved. With None they
    are temporary, and a killed training starts anew. ``name`` also labels progress, live metrics
    and the model's record of stages. With ``heldout_rows`` the weights are the best seen, see
    ``heldout.HeldoutWatch``; with ``lora`` see ``adapters.adapted``; under torchrun ``followers``.

    Raises InputError for no examples, half-precision weights, a dimension wider than the model,
    adapters that do not fit it, and a loss that is not finite.
    """
    with ExitStack() as stack:
        if checkpoints is None:
            temporary = tempfile.TemporaryDirectory(prefix="gecko-train-")
            checkpoints = Path(stack.enter_context(temporary))
        job = Job(
            settings=settings or TrainSettings(),
            loss=loss,
            name=name,
            checkpoints=checkpoints,
            templates=templates,
            lora=lora,
        )
        _check(model, examples, job)
        call_followers(model, examples, job)
        return _train(model, examples, job)


def train_or_keep(model: Encoder, examples: pl.DataFrame, *, name: str, **how: Any) -> TrainResult:
    """``train_encoder``; without examples ``model`` as it is, an empty history and a log line."""
    if not examples.is_empty():
        return train_encoder(model, examples, name=name, **how)
    logger.info("%s is skipped: there are no examples, and the encoder stays as it is", name)
    return TrainResult(model, HISTORY_SCHEMA.to_frame(), {"examples": 0, "skipped": True})


def _train(model: Encoder, examples: pl.DataFrame, job: Job) -> TrainResult:
    settings = job.settings
    if job.loss == "in_batch":
        examples = examples.with_columns(
            negatives=pl.lit([], EXAMPLE_SCHEMA["negatives"]),
            teacher_scores=pl.lit(None, EXAMPLE_SCHEMA["teacher_scores"]),
        )
    data_digest = digest_of(examples)
    folder = job.folder(model, data_digest)
    own_length = length_of(model)
    limit_length(model, settings.max_seq_length, reference=job.name)
    started = time.perf_counter()
    with (
        quiet_loading(),
        trained_fast(model, threads=settings.threads, compiled=settings.compile),
        adapted(model, job.lora, seed=settings.seed),  # last: its dropout is not the model's
    ):
        trainer, resumed, watched = _run(model, examples, job, folder)
    seconds = time.perf_counter() - started
    truncated = _share_truncated(model, examples, job)
    set_length(model, own_length)  # it can read longer texts than it was trained on
    plan, steps = trainer.plan, trainer.state.global_step
    history = _history(trainer.state.log_history, plan)
    rows_run = sum(map(len, plan.batches[resumed:steps]))
    metrics = {
        "examples": examples.height,
        "rows_left_out": plan.left_out,
        "texts_truncated_share": truncated,
        "steps": steps,
        "steps_resumed": resumed,
        "seconds": seconds,
        "rows_per_second": rows_run / seconds,
        "first_loss": history["loss"][0],
        "last_loss": history["loss"].tail(max(1, history.height // 10)).mean(),
        **watched,
    }
    tasks = examples["task_name"].unique().to_list()
    most_frequent = examples["task_name"].mode().sort()[0]
    model.prompts = {**prompts_by_name(tasks, most_frequent, templates=job.templates)}
    add_stage(
        model,
        job.name,
        settings=job.record(),
        data_digests={"examples": data_digest},
        facts={"examples": examples.height, "steps": steps},
    )
    return TrainResult(model.eval(), history, metrics)


def _check(model: Encoder, examples: pl.DataFrame, job: Job) -> None:
    name, dims = job.name, job.settings.loss.matryoshka_dims
    if examples.is_empty():
        raise InputError(
            f"examples of {name}",
            expected="at least one row",
            got=Words("no rows"),
            fix="Look into the quarantine of the step before.",
        )
    if model.dtype != torch.float32:
        raise InputError(
            f"model of {name}",
            expected="float32 weights (the trainer itself computes in bfloat16 where it pays)",
            got=str(model.dtype),
            fix="Load it with load_encoder(..., for_training=True).",
        )
    width = model.get_embedding_dimension()
    if width is None or any(not 1 <= dim <= width for dim in dims):
        raise InputError(
            f"matryoshka_dims of {name}",
            expected=f"numbers from 1 to {width}, the model's width",
            got=list(dims),
            fix="Remove those that are wider; the full width is always trained.",
        )
    if job.lora is not None:
        check_adaptable(model.transformers_model, job.lora)


def _run(
    model: Encoder, examples: pl.DataFrame, job: Job, folder: Path
) -> tuple["PlannedTrainer", int, dict[str, float]]:
    """The trainer at its end, the step that it went on from, and metrics of the held-out rows."""
    from gecko_kedro.training.heldout import HeldoutWatch, split_heldout
    from gecko_kedro.training.losses.batch import BatchLoss
    from gecko_kedro.training.steps import Collator, PlannedTrainer, training_rows

    settings, name = job.settings, job.name
    folder.mkdir(parents=True, exist_ok=True)
    taught, heldout = split_heldout(examples, rows=settings.heldout_rows, seed=settings.seed)
    plan = _plan(taught, settings, name)
    last_step = len(plan.batches)
    trainer = PlannedTrainer(
        plan=plan,
        examples=taught,
        name=name,
        model=model,
        args=job.arguments(model, steps=last_step, folder=folder),
        train_dataset=training_rows(
            taught, templates=job.templates, max_negatives=job.embedded_negatives()
        ),
        data_collator=Collator(preprocess_fn=model.preprocess),
        loss=BatchLoss(
            model,
            job.objective(model.get_embedding_dimension() or 0),
            tokens_per_pass=job.tokens_per_pass(model.device.type),
            cached=settings.gradient_caching,
        ),
    )
    watch = None
    if not heldout.is_empty():
        watch = HeldoutWatch(model, heldout, job, folder=folder, last_step=last_step)
        trainer.add_callback(watch)
    found = ranks.from_main(lambda: str(last_whole_checkpoint(folder) or ""))
    resumed = checkpoint_step(Path(found)) if found else 0
    if found:
        logger.info("%s: goes on after step %d of %d", name, resumed, last_step)
    trainer.train(resume_from_checkpoint=found or None)
    return trainer, resumed, watch.restore_best() if watch and ranks.is_main() else {}


def _plan(examples: pl.DataFrame, settings: TrainSettings, name: str) -> BatchPlan:
    processes = ranks.world_size()
    if examples.is_empty():
        raise InputError(
            f"examples of {name}",
            expected=f"more rows than heldout_rows ({settings.heldout_rows})",
            got=Words("no row that shares no text with a held-out one"),
            fix="Lower heldout_rows.",
        )
    how = settings.model_dump(include={"batch_size", "epochs", "max_steps", "seed"})
    plan = plan_batches(examples, **how, fewest_rows=processes)
    if not plan.batches:
        raise InputError(
            f"examples of {name}",
            expected=f"a batch with a row for each of {processes} processes",
            got=Words("no batch that large"),
            fix="Start fewer processes, or train on more rows.",
        )
    if plan.left_out:
        logger.info(
            "%s: %d rows are left out: they share a text with all others left%s",
            name, plan.left_out, "" if processes == 1 else ", or are too few to be shared",
        )  # fmt: skip
    if max(map(len, plan.batches)) == 1:
        logger.warning("%s: every batch is one row: there are no in-batch negatives", name)
    return plan


def _share_truncated(model: Encoder, examples: pl.DataFrame, job: Job) -> float:
    """The share of queries and positives with more tokens than are read; 0 without a tokenizer.

    Of more than 100,000 texts that many are drawn.
    """
    limit, tokenizer = model.max_seq_length, model.tokenizer
    if limit is None or not callable(tokenizer):
        return 0.0
    table = render_examples(examples, templates=job.templates, max_negatives=0)
    texts = [*table["query"], *table["positive"]]
    if len(texts) > _MOST_TEXTS:
        random = np.random.default_rng(job.settings.seed)
        texts = [texts[i] for i in random.choice(len(texts), _MOST_TEXTS, replace=False)]
    longer = 0
    for start in range(0, len(texts), _TEXTS_AT_ONCE):
        part = texts[start : start + _TEXTS_AT_ONCE]
        tokens = tokenizer(part, truncation=False, verbose=False)["input_ids"]
        longer += sum(len(own) > limit for own in tokens)
    if longer:
        logger.info(
            "%s: %.1f %% of the texts are longer than %d tokens and are cut",
            job.name, 100 * longer / len(texts), job.settings.max_seq_length,
        )  # fmt: skip
    return longer / len(texts)


def _history(log: list[dict[str, float]], plan: BatchPlan) -> pl.DataFrame:
    rows = [{**entry, "epoch": plan.epoch(int(entry["step"]))} for entry in log if "loss" in entry]
    columns = [{name: row.get(name) for name in HISTORY_SCHEMA} for row in rows]
    return pl.DataFrame(columns, schema=HISTORY_SCHEMA)
