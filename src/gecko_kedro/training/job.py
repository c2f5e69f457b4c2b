"""One training: all that shapes it but the model and the examples, and what that means."""

import hashlib
import json
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from gecko_kedro.base.precision import fast_bf16
from gecko_kedro.base.settings import Settings
from gecko_kedro.encoder.formatting import Templates
from gecko_kedro.encoder.model import Encoder
from gecko_kedro.training.ranks import world_size
from gecko_kedro.training.settings import LoraSettings, TrainSettings

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformerTrainingArguments

    from gecko_kedro.training.losses.objective import Objective

Loss = Literal["in_batch", "gecko"]
_LOGGED_POINTS = 200


class Job(Settings):
    """The arguments of ``train_encoder`` behind the first two."""

    settings: TrainSettings
    loss: Loss
    name: str
    checkpoints: Path
    templates: Templates
    lora: LoraSettings | None

    def folder(self, model: Encoder, data_digest: str) -> Path:
        """Where its checkpoints go: named after a digest of everything that shapes the result."""
        shaping: list[Any] = [self.settings.that_shape_the_result(), self.loss, data_digest]
        shaping += [self.templates.model_dump(), self.model_dump(mode="json")["lora"]]
        shaping += [world_size()] if world_size() > 1 else []
        digest = hashlib.sha256(json.dumps(shaping, sort_keys=True).encode())
        for name, weights in model.state_dict().items():
            digest.update(name.encode())
            digest.update(weights.detach().cpu().numpy().tobytes())
        return self.checkpoints / self.name / digest.hexdigest()[:16]

    def record(self) -> dict[str, Any]:
        """The settings, as the model's record of stages has them."""
        told = self.model_dump(mode="json")
        return {
            "equation": 2 if self.loss == "in_batch" else 3,
            **told["settings"],
            "lora": told["lora"],
        }

    def arguments(
        self, model: Encoder, *, steps: int, folder: Path
    ) -> "SentenceTransformerTrainingArguments":
        """bf16 where it pays, linear decay after a warm-up, AdamW, checkpoints, no reports."""
        from sentence_transformers import SentenceTransformerTrainingArguments

        settings, on_cpu = self.settings, model.device.type == "cpu"
        fast = settings.precision == "auto" and fast_bf16(str(model.device))
        return SentenceTransformerTrainingArguments(
            output_dir=str(folder),
            num_train_epochs=1,  # the plan holds all epochs
            learning_rate=settings.learning_rate,
            lr_scheduler_type="linear",
            warmup_steps=round(settings.warmup_ratio * steps),
            max_grad_norm=1.0,
            seed=settings.seed,
            bf16=fast or settings.precision == "bf16",
            use_cpu=on_cpu,
            dataloader_pin_memory=not on_cpu,
            logging_steps=max(1, steps // _LOGGED_POINTS),
            logging_nan_inf_filter=False,
            save_steps=settings.checkpoint_steps,
            report_to="none",
            disable_tqdm=True,
            # Processes embed in different numbers of passes; sharing buffers at each would hang.
            ddp_broadcast_buffers=False,
            dataloader_drop_last=world_size() > 1,  # the plan decides; else there is a warning
            ddp_backend="gloo" if on_cpu and world_size() > 1 else None,
        )

    def tokens_per_pass(self, device: str) -> int | None:
        """Padded tokens that are embedded at once on a device of this type; None for a column."""
        tokens = self.settings.tokens_per_pass
        if tokens == "auto":
            return 2048 if device == "cpu" else 65536
        return tokens

    def embedded_negatives(self) -> int | None:
        """How many negatives of a row are embedded; None for all."""
        loss = self.settings.loss
        if self.loss == "in_batch":
            return 0
        if loss.distillation:
            return None  # the KL is over all candidates
        return 0 if loss.negatives == "none" else loss.max_negatives

    def objective(self, width: int) -> "Objective":
        """The loss on vectors of ``width`` numbers."""
        from gecko_kedro.training.losses.gecko import GeckoObjective
        from gecko_kedro.training.losses.in_batch import InBatchLoss
        from gecko_kedro.training.losses.objective import Objective

        loss = self.settings.loss
        equation: type[InBatchLoss | GeckoObjective] = (
            InBatchLoss if self.loss == "in_batch" else GeckoObjective
        )
        return Objective(
            equation(**{field.name: getattr(loss, field.name) for field in fields(equation)}),
            tuple(sorted({width, *loss.matryoshka_dims}, reverse=True)),
            temperature=loss.temperature,
            spread_out=loss.spread_out,
            distillation=loss.distillation if self.loss == "gecko" else 0.0,
            teacher_temperature=loss.teacher_temperature,
        )


def digest_of(examples: pl.DataFrame) -> str:
    """SHA-256 of the rows."""
    digest = hashlib.sha256()
    for row in examples.iter_rows():
        digest.update(json.dumps(row).encode())
    return digest.hexdigest()
