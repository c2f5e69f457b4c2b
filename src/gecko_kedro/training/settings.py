"""What can be set about a training stage."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

# How it runs, not what comes out: no part of a fingerprint.
_EXECUTION: dict[str, Any] = {"execution_only": True}


class TrainSettings(BaseModel):
    """One training stage: length, batches, optimiser, loss and machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(ge=1, description="passes over the examples")
    max_steps: int | None = Field(ge=1, description="optimiser steps to stop after; null for none")
    batch_size: int = Field(ge=1, description="rows a step; in-batch negatives are one less")
    learning_rate: float = Field(gt=0, le=1, description="peak of AdamW's rate")
    warmup_ratio: float = Field(ge=0, le=1, description="share of the steps until the peak")
    temperature: float = Field(gt=0, description="tau: cosines are divided by it")
    max_seq_length: int = Field(ge=8, description="tokens a text is cut to")
    matryoshka_dims: tuple[int, ...] = Field(
        description="smaller dimensions trained along with the full one, equal weights"
    )
    same_tower: bool = Field(description="other queries of the batch as negatives (gecko only)")
    mask_same_text: bool = Field(
        description="rows with the same query or positive text are no negatives of each other"
    )
    seed: int = Field(ge=0)
    threads: int | None = Field(
        ge=1,
        description="CPU threads; null for torch's own choice",
        json_schema_extra=_EXECUTION,
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        description="auto: bf16 autocast where the device computes it in hardware"
    )
    checkpoint_steps: int = Field(
        ge=1, description="steps between checkpoints", json_schema_extra=_EXECUTION
    )

    def that_shape_the_result(self) -> dict[str, Any]:
        """The settings as JSON values, without those that only say how it runs."""
        fields = TrainSettings.model_fields.items()
        execution = {name for name, field in fields if field.json_schema_extra == _EXECUTION}
        return self.model_dump(mode="json", exclude=execution)
