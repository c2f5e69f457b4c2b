"""Train an encoder on the unified format, resumable at any moment."""

import hashlib
import json
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from gecko_kedro.encoder.formatting import GECKO, Templates, prompts_by_name
from gecko_kedro.encoder.loading import limit_length, quiet_loading
from gecko_kedro.encoder.record import add_stage
from gecko_kedro.errors import InputError
from gecko_kedro.precision import fast_bf16
from gecko_kedro.training.checkpoints import last_whole_checkpoint, remove_checkpoints
from gecko_kedro.training.cpu import trained_fast
from gecko_kedro.training.examples import render_examples
from gecko_kedro.training.mixture import BatchPlan, plan_batches, text_ids
from gecko_kedro.training.settings import TrainSettings

if TYPE_CHECKING:
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainingArguments,
    )
    from torch import nn

__all__ = ["HISTORY_SCHEMA", "TrainResult", "TrainSettings", "remove_checkpoints", "train_encoder"]

logger = logging.getLogger(__name__)

Loss = Literal["in_batch", "gecko"]

HISTORY_SCHEMA = pl.Schema(
    {
        "step": pl.Int64,  # optimiser steps done, from 1
        "epoch": pl.Float64,  # passes over the examples done
        "loss": pl.Float64,  # mean since the row before, summed over the Matryoshka dimensions
        "learning_rate": pl.Float64,
        "grad_norm": pl.Float64,  # before clipping to 1; nullable
    }
)

_LOGGED_POINTS = 200
_ROWS_PER_PASS_ON_CPU = 16


@dataclass(frozen=True)
class TrainResult:
    """The trained model (the one given, changed in place), its loss curve and a few numbers."""

    model: "SentenceTransformer"
    history: pl.DataFrame
    metrics: dict[str, float]


def train_encoder(
    model: "SentenceTransformer",
    examples: pl.DataFrame,
    *,
    settings: TrainSettings,
    loss: Loss,
    name: str,
    checkpoints: Path,
    templates: Templates = GECKO,
) -> TrainResult:
    """Train ``model`` (float32 weights, changed in place) on EXAMPLE rows.

    ``loss="in_batch"`` is equation 2 and ignores negatives; ``"gecko"`` is equation 3. Both are
    summed over the full width and ``matryoshka_dims``. Checkpoints go under ``checkpoints/name``,
    in a folder named after a digest of everything that shapes the result: the same call again goes
    on from the last whole checkpoint, a changed one starts anew. The caller deletes them with
    ``remove_checkpoints`` once the model is saved. ``name`` also labels progress, live metrics and
    the model's record of stages. Raises InputError for no examples, half-precision weights, a
    dimension wider than the model, and a loss that is not finite.
    """
    _check(model, examples, settings=settings, name=name)
    if loss == "in_batch":
        examples = examples.with_columns(
            pl.lit(None, pl.String).alias(column) for column in ("negative", "negative_title")
        )
    plan = plan_batches(
        examples,
        batch_size=settings.batch_size,
        epochs=settings.epochs,
        max_steps=settings.max_steps,
        seed=settings.seed,
    )
    if plan.left_out:
        logger.info("%s: %d rows share a text with all others left", name, plan.left_out)
    if max(map(len, plan.batches)) == 1:
        logger.warning("%s: every batch is one row: there are no in-batch negatives", name)
    data_digest = _digest_of_examples(examples)
    folder = checkpoints / name / _digest_of_run(model, settings, loss, data_digest, templates)
    own_length = model.max_seq_length
    limit_length(model, settings.max_seq_length, reference=name)
    started = time.perf_counter()
    with quiet_loading(), trained_fast(model, threads=settings.threads):
        trainer, resumed = _run(
            model,
            examples,
            plan,
            settings=settings,
            loss=loss,
            name=name,
            folder=folder,
            templates=templates,
        )
    seconds = time.perf_counter() - started
    model.max_seq_length = own_length  # it can read longer texts than it was trained on
    steps_run = len(plan.batches) - resumed
    rows_run = sum(map(len, plan.batches[resumed:]))
    history = _history(trainer.state.log_history, plan)
    metrics = {
        "examples": examples.height,
        "rows_left_out": plan.left_out,
        "steps": len(plan.batches),
        "steps_resumed": resumed,
        "seconds": seconds,
        "rows_per_second": rows_run / seconds if steps_run else 0.0,
        "first_loss": history["loss"][0],
        "last_loss": history["loss"].tail(max(1, history.height // 10)).mean(),
    }
    tasks = examples["task_name"].unique().to_list()
    most_frequent = examples["task_name"].mode().sort()[0]
    model.prompts = {**prompts_by_name(tasks, most_frequent, templates=templates)}
    add_stage(
        model,
        name,
        settings={"loss": loss, **settings.model_dump(mode="json")},
        data_digests={"examples": data_digest},
        facts={"examples": examples.height, "steps": len(plan.batches)},
    )
    return TrainResult(model.eval(), history, metrics)


def _check(
    model: "SentenceTransformer", examples: pl.DataFrame, *, settings: TrainSettings, name: str
) -> None:
    import torch

    if examples.is_empty():
        raise InputError(
            f"examples of {name}",
            expected="at least one row",
            got="no rows",
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
    if width is None or any(not 1 <= dim <= width for dim in settings.matryoshka_dims):
        raise InputError(
            f"matryoshka_dims of {name}",
            expected=f"numbers from 1 to {width}, the model's width",
            got=list(settings.matryoshka_dims),
            fix="Remove those that are wider; the full width is always trained.",
        )


def _run(
    model: "SentenceTransformer",
    examples: pl.DataFrame,
    plan: BatchPlan,
    *,
    settings: TrainSettings,
    loss: Loss,
    name: str,
    folder: Path,
    templates: Templates,
) -> tuple[Any, int]:
    """The trainer after its last step, and the step it resumed from."""
    from datasets import Dataset

    from gecko_kedro.training.steps import Collator, PlannedTrainer

    folder.mkdir(parents=True, exist_ok=True)
    table = render_examples(examples, templates=templates)
    if table["negative"].is_null().all():
        table = table.drop("negative")
    if settings.mask_same_text:
        # "label" is the one column that sentence-transformers hands to the loss untouched.
        table = table.with_columns(label=pl.Series(text_ids(examples)[:, :2]).arr.to_list())
    trainer = PlannedTrainer(
        plan=plan,
        examples=examples,
        name=name,
        model=model,
        args=_arguments(model, plan, settings, folder),
        train_dataset=Dataset(table.to_arrow()),
        data_collator=Collator(preprocess_fn=model.preprocess),
        loss=_loss(model, settings, loss),
    )
    last = last_whole_checkpoint(folder)
    resumed = int(last.name.rpartition("-")[2]) if last else 0
    if last:
        logger.info("%s: goes on after step %d of %d", name, resumed, len(plan.batches))
    trainer.train(resume_from_checkpoint=str(last) if last else None)
    return trainer, resumed


def _arguments(
    model: "SentenceTransformer", plan: BatchPlan, settings: TrainSettings, folder: Path
) -> "SentenceTransformerTrainingArguments":
    from sentence_transformers import SentenceTransformerTrainingArguments

    half = settings.precision == "bf16" or (
        settings.precision == "auto" and fast_bf16(str(model.device))
    )
    on_cpu = _on_cpu(model)
    steps = len(plan.batches)
    return SentenceTransformerTrainingArguments(
        output_dir=str(folder),
        num_train_epochs=1,  # the plan holds all epochs
        learning_rate=settings.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=round(settings.warmup_ratio * steps),
        max_grad_norm=1.0,
        seed=settings.seed,
        bf16=half,
        use_cpu=on_cpu,
        dataloader_pin_memory=not on_cpu,
        logging_steps=max(1, steps // _LOGGED_POINTS),
        logging_nan_inf_filter=False,
        save_steps=settings.checkpoint_steps,
        save_total_limit=2,
        report_to="none",
        disable_tqdm=True,
    )


def _loss(model: "SentenceTransformer", settings: TrainSettings, loss: Loss) -> "nn.Module":
    from sentence_transformers.sentence_transformer.losses import MatryoshkaLoss

    from gecko_kedro.training.losses.gecko import GeckoLoss
    from gecko_kedro.training.losses.in_batch import InBatchLoss

    tau, rows = settings.temperature, _ROWS_PER_PASS_ON_CPU if _on_cpu(model) else None
    inner: nn.Module = (
        InBatchLoss(model, temperature=tau, rows_per_pass=rows)
        if loss == "in_batch"
        else GeckoLoss(model, temperature=tau, same_tower=settings.same_tower, rows_per_pass=rows)
    )
    dims = {model.get_embedding_dimension() or 0, *settings.matryoshka_dims}
    return MatryoshkaLoss(model, inner, sorted(dims, reverse=True)) if len(dims) > 1 else inner


def _on_cpu(model: "SentenceTransformer") -> bool:
    return model.device.type == "cpu"


def _history(log: list[dict[str, float]], plan: BatchPlan) -> pl.DataFrame:
    rows = [
        {
            "step": entry["step"],
            "epoch": plan.epoch(int(entry["step"])),
            "loss": entry["loss"],
            "learning_rate": entry["learning_rate"],
            "grad_norm": entry.get("grad_norm"),
        }
        for entry in log
        if "loss" in entry
    ]
    return pl.DataFrame(rows, schema=HISTORY_SCHEMA)


def _digest_of_examples(examples: pl.DataFrame) -> str:
    digest = hashlib.sha256()
    for row in examples.iter_rows():
        digest.update(json.dumps(row).encode())
    return digest.hexdigest()


def _digest_of_run(
    model: "SentenceTransformer",
    settings: TrainSettings,
    loss: Loss,
    data_digest: str,
    templates: Templates,
) -> str:
    shaping = [settings.that_shape_the_result(), loss, data_digest, templates.model_dump()]
    digest = hashlib.sha256(json.dumps(shaping, sort_keys=True).encode())
    for name, weights in model.state_dict().items():
        digest.update(name.encode())
        digest.update(weights.detach().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
