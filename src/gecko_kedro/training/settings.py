"""What can be set about training; the defaults are those of conf/base/parameters."""

from typing import Annotated, Any, Literal

from pydantic import Field

from gecko_kedro.base.settings import EXECUTION, Count, Limit, Seed, Settings
from gecko_kedro.encoder.formatting import GECKO, own_templates
from gecko_kedro.encoder.model import Encoder


class MaskSettings(Settings):
    """The masks against false negatives; each can be switched off.

    They apply to the texts of *other* rows only: a row's own negatives were chosen for it. See
    ``losses.masks``.
    """

    same_text: bool = Field(True, description="rows that share their query's or positive's text")
    known_positive: bool = Field(
        True, description="texts that are a positive of the query elsewhere"
    )
    same_label: bool = Field(True, description="rows of the same class; without it use unique ids")
    margin: float | None = Field(
        None, description="texts nearer to the query than its positive by more than this cosine"
    )


class LossSettings(Settings):
    """The training loss. ``in_batch`` (equation 2) has no negatives and no same_tower term."""

    temperature: float = Field(0.05, gt=0, description="tau: cosines are divided by it")
    matryoshka_dims: tuple[int, ...] = Field(
        (), description="smaller dimensions trained along with the full one, equal weights"
    )
    same_tower: bool = Field(True, description="other queries of the batch as negatives")
    negatives: Literal["own", "all", "none"] = Field(
        "own", description="whose hard negatives count for a query; the paper: own"
    )
    max_negatives: Count = Field(1, description="own negatives of a row that count, the first")
    hardness: float = Field(
        0.0, ge=0, description="weight of hard negatives: w = exp(hardness * s)"
    )
    spread_out: float = Field(0.0, ge=0, description="weight of the spread-out regulariser")
    distillation: float = Field(0.0, ge=0, description="weight of the KL to the teacher's scores")
    teacher_temperature: float = Field(
        1.0, gt=0, description="the teacher's scores are divided by it"
    )
    masks: MaskSettings = MaskSettings()


class LoraSettings(Settings):
    """Low-rank adapters in place of full fine-tuning; see ``adapters.adapted``."""

    rank: int = Field(16, ge=1, le=1024, description="inner dimension of the two factors")
    alpha: Count = Field(32, description="the product is scaled by alpha / rank")
    dropout: float = Field(0.0, ge=0, lt=1, description="of an adapter's input, in training")
    target_modules: Literal["all-linear"] | Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        "all-linear", description="ends of the names of the layers that get one"
    )


class EncoderTraining(Settings):
    """What is trained of an encoder, and how texts are written: adapters or none, templates."""

    templates: Literal["gecko", "own"] = Field(
        "gecko", description="the paper's, or the prompts that the initial embedder brings"
    )
    lora: LoraSettings | None = None

    def options(self, model: Encoder, **more: Any) -> dict[str, Any]:
        """These and ``more``, as ``train_encoder`` takes them for ``model``, a base or trained."""
        templates = GECKO if self.templates == "gecko" else own_templates(model.prompts)
        return {"templates": templates, "lora": self.lora, **more}


class TrainSettings(Settings):
    """One training: length, batches, optimiser, loss and machine."""

    epochs: Count = Field(1, description="passes over the examples")
    max_steps: Limit = Field(None, description="optimiser steps to stop after; null for none")
    batch_size: Count = Field(64, description="rows a step; in-batch negatives are one less")
    learning_rate: float = Field(3e-5, gt=0, le=1, description="peak of AdamW's rate")
    warmup_ratio: float = Field(0.1, ge=0, le=1, description="share of the steps until the peak")
    max_seq_length: int = Field(128, ge=8, description="tokens a text is cut to")
    loss: LossSettings = LossSettings()
    seed: int = Field(7, ge=0)
    tokens_per_pass: Annotated[int, Field(ge=8)] | Literal["auto"] | None = Field(
        "auto",
        description="padded tokens embedded at once; null for a column of the batch; auto: 2,048 "
        "on a CPU, where they stay in its caches, and 65,536 on a GPU",
    )
    gradient_caching: bool = Field(
        False, description="embed twice, with the memory of one pass whatever the batch"
    )
    compile: bool = Field(
        False, description="torch.compile; pays on a GPU", json_schema_extra=EXECUTION
    )
    threads: Limit = Field(
        None, description="CPU threads; null for torch's own choice", json_schema_extra=EXECUTION
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="auto: bf16 autocast where the device computes it in hardware"
    )
    checkpoint_steps: Count = Field(
        25, description="steps between checkpoints", json_schema_extra=EXECUTION
    )
    heldout_rows: int = Field(0, ge=0, description="rows kept out of training, to watch it by")
    evaluation_steps: Count = Field(50, description="steps between looks at the held-out rows")
    patience: Limit = Field(
        None, description="looks without a better score until it stops; null for never"
    )

    def that_shape_the_result(self) -> dict[str, Any]:
        """The settings as JSON values, without those that only say how it runs."""
        fields = type(self).model_fields.items()
        execution = {name for name, field in fields if field.json_schema_extra == EXECUTION}
        return self.model_dump(mode="json", exclude=execution)


_EQUATION_2 = LossSettings(same_tower=False, negatives="none")


class SeedRetrieverTraining(TrainSettings):
    """``mine.train``: (query, seed passage), in-batch negatives."""

    learning_rate: float = Field(2e-5, gt=0, le=1)
    loss: LossSettings = _EQUATION_2


class PretrainTraining(TrainSettings):
    """``pretrain.train``: natural pairs, in-batch negatives."""

    learning_rate: float = Field(5e-5, gt=0, le=1)
    loss: LossSettings = _EQUATION_2


class FinetuneTraining(TrainSettings):
    """``finetune.train``: the mixture, hard negatives, Matryoshka."""

    loss: LossSettings = LossSettings(matryoshka_dims=(256, 128, 64))


class SelectPairsSettings(Settings):
    """How many of the natural pairs pre-finetuning takes; None for all."""

    max_pairs: Limit = 2000
    seed: Seed = 7


class MixSettings(Settings):
    """How often a row of the project's own sets is seen an epoch; see ``mix_examples``."""

    rates: dict[str, Annotated[float, Field(ge=0.0)]] = {"fret": 1.0, "natural_pairs": 0.25}
    seed: Seed = 7


class MinedNegativesSettings(Settings):
    """Hard negatives for sources with ``mine_negatives``; see ``add_mined_negatives``."""

    candidates: Annotated[int, Field(ge=2)] = 30
    percent_of_positive: Annotated[float, Field(gt=0.0, le=1.0)] = 0.95
    n_negatives: Count = 1
    max_seq_length: Count = 128
    seed: Seed = 7
