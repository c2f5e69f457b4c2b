"""What can be set about a training stage."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

# How it runs, not what comes out: no part of a fingerprint.
_EXECUTION: dict[str, Any] = {"execution_only": True}


class MaskSettings(BaseModel):
    """Which texts of other rows are no negatives; see ``losses.masks.Masks``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    same_text: bool = Field(description="rows that share their query's or positive's text")
    known_positive: bool = Field(description="texts that are a positive of the query elsewhere")
    same_label: bool = Field(description="rows of the same class; without it use unique ids")
    margin: float | None = Field(
        description="texts nearer to the query than its positive by more than this cosine"
    )


class LossSettings(BaseModel):
    """The training loss. ``in_batch`` (equation 2) has no negatives and no same_tower term."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float = Field(gt=0, description="tau: cosines are divided by it")
    matryoshka_dims: tuple[int, ...] = Field(
        description="smaller dimensions trained along with the full one, equal weights"
    )
    same_tower: bool = Field(description="other queries of the batch as negatives (gecko only)")
    negatives: Literal["own", "all", "none"] = Field(
        description="whose hard negatives count for a query (gecko only); the paper: own"
    )
    max_negatives: int = Field(ge=1, description="own negatives of a row that count, the first")
    both_directions: bool = Field(description="also the softmax from passage to query")
    hardness: float = Field(ge=0, description="weight of hard negatives: w = exp(hardness * s)")
    spread_out: float = Field(ge=0, description="weight of the spread-out regulariser")
    distillation: float = Field(ge=0, description="weight of the KL to the teacher's scores")
    teacher_temperature: float = Field(gt=0, description="the teacher's scores are divided by it")
    masks: MaskSettings


class LoraSettings(BaseModel):
    """Low-rank adapters in place of full fine-tuning; see ``adapters.adapted``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rank: int = Field(ge=1, le=1024, description="inner dimension of the two factors")
    alpha: int = Field(ge=1, description="the product is scaled by alpha / rank")
    dropout: float = Field(ge=0, lt=1, description="of an adapter's input, in training")
    target_modules: Literal["all-linear"] | tuple[str, ...] = Field(
        description="ends of the names of the layers that get one"
    )

    @field_validator("target_modules")
    @classmethod
    def _some(cls, targets: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if not targets:
            raise ValueError("name at least one layer, or all-linear")
        return targets


class TrainSettings(BaseModel):
    """One training stage: length, batches, optimiser, loss and machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(ge=1, description="passes over the examples")
    max_steps: int | None = Field(ge=1, description="optimiser steps to stop after; null for none")
    batch_size: int = Field(ge=1, description="rows a step; in-batch negatives are one less")
    learning_rate: float = Field(gt=0, le=1, description="peak of AdamW's rate")
    warmup_ratio: float = Field(ge=0, le=1, description="share of the steps until the peak")
    max_seq_length: int = Field(ge=8, description="tokens a text is cut to")
    loss: LossSettings
    seed: int = Field(ge=0)
    tokens_per_pass: int | None = Field(
        ge=8, description="padded tokens embedded at once; null for a column of the batch"
    )
    gradient_caching: bool = Field(
        description="embed twice, with the memory of one pass whatever the batch"
    )
    compile: bool = Field(description="torch.compile; pays on a GPU", json_schema_extra=_EXECUTION)
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
    average_share: float = Field(
        ge=0, le=1, description="the weights are the mean over this share of the steps, the last"
    )
    heldout_rows: int = Field(ge=0, description="rows kept out of training, to watch it by")
    evaluation_steps: int = Field(ge=1, description="steps between looks at the held-out rows")
    patience: int | None = Field(
        ge=1, description="looks without a better score until it stops; null for never"
    )

    def that_shape_the_result(self) -> dict[str, Any]:
        """The settings as JSON values, without those that only say how it runs."""
        fields = TrainSettings.model_fields.items()
        execution = {name for name, field in fields if field.json_schema_extra == _EXECUTION}
        return self.model_dump(mode="json", exclude=execution)
