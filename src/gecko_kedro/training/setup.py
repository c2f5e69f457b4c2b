"""What a stage's settings mean to the trainer: its arguments and its loss."""

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from gecko_kedro.base.precision import fast_bf16
from gecko_kedro.training.job import Loss
from gecko_kedro.training.mixture import BatchPlan
from gecko_kedro.training.ranks import world_size
from gecko_kedro.training.settings import LossSettings, TrainSettings

if TYPE_CHECKING:
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainingArguments,
    )

    from gecko_kedro.training.losses.batch import BatchLoss
    from gecko_kedro.training.losses.objective import Objective

_LOGGED_POINTS = 200


def training_arguments(
    model: "SentenceTransformer", plan: BatchPlan, settings: TrainSettings, folder: Path
) -> "SentenceTransformerTrainingArguments":
    """bf16 where it pays, linear decay after a warm-up, AdamW, checkpoints, no reports."""
    from sentence_transformers import SentenceTransformerTrainingArguments

    half = settings.precision == "bf16" or (
        settings.precision == "auto" and fast_bf16(str(model.device))
    )
    on_cpu = model.device.type == "cpu"
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
        report_to="none",
        disable_tqdm=True,
        # Processes embed in different numbers of passes; sharing buffers at each would hang.
        ddp_broadcast_buffers=False,
        dataloader_drop_last=world_size() > 1,  # the plan decides; else there is a warning of it
        ddp_backend="gloo" if on_cpu and world_size() > 1 else None,
    )


def embedded_negatives(settings: TrainSettings, loss: Loss) -> int | None:
    """How many negatives of a row are embedded; None for all."""
    if loss == "in_batch":
        return 0
    if settings.loss.distillation:
        return None  # the KL is over all candidates
    return 0 if settings.loss.negatives == "none" else settings.loss.max_negatives


def batch_loss(model: "SentenceTransformer", settings: TrainSettings, loss: Loss) -> "BatchLoss":
    """From the tokens of a batch to its loss."""
    from gecko_kedro.training.losses.batch import BatchLoss

    tokens = settings.tokens_per_pass
    if tokens == "auto":
        tokens = 2048 if model.device.type == "cpu" else 65536
    return BatchLoss(
        model,
        objective(settings.loss, loss, width=model.get_embedding_dimension() or 0),
        tokens_per_pass=tokens,
        cached=settings.gradient_caching,
    )


def objective(settings: LossSettings, loss: Loss, *, width: int) -> "Objective":
    """The loss on vectors that ``settings`` and ``loss`` ask for."""
    from gecko_kedro.training.losses.gecko import GeckoObjective
    from gecko_kedro.training.losses.in_batch import InBatchLoss
    from gecko_kedro.training.losses.objective import Objective

    equation: type[InBatchLoss | GeckoObjective] = (
        InBatchLoss if loss == "in_batch" else GeckoObjective
    )
    return Objective(
        equation(**{field.name: getattr(settings, field.name) for field in fields(equation)}),
        tuple(sorted({width, *settings.matryoshka_dims}, reverse=True)),
        temperature=settings.temperature,
        spread_out=settings.spread_out,
        distillation=settings.distillation if loss == "gecko" else 0.0,
        teacher_temperature=settings.teacher_temperature,
    )
