"""sentence-transformers' trainer, fed by a batch plan, watched, and with sealed checkpoints."""

import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from datasets import Dataset
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformerTrainer
from sentence_transformers.base.sampler import DefaultBatchSampler
from sentence_transformers.sentence_transformer.data_collator import SentenceTransformerDataCollator
from transformers import TrainerCallback
from transformers.trainer_callback import PrinterCallback

from gecko_kedro.base import events
from gecko_kedro.base.errors import InputError
from gecko_kedro.base.files import writing
from gecko_kedro.base.memory import give_back_free_memory
from gecko_kedro.base.progress import Progress
from gecko_kedro.encoder.formatting import Templates
from gecko_kedro.training.adapters import is_adapted, trained_weights
from gecko_kedro.training.checkpoints import keep_last_checkpoints, seal_checkpoint
from gecko_kedro.training.examples import render_examples
from gecko_kedro.training.mixture import BatchPlan, text_ids
from gecko_kedro.training.ranks import is_main, wait_for_all, world_size
from gecko_kedro.training.speed import dense_gradients

_STEPS_BETWEEN_TRIMS = 10
_TRAINED = "trained_weights.safetensors"  # of a checkpoint with adapters
_KEPT_CHECKPOINTS = 2


class PlannedBatches(DefaultBatchSampler):
    """Gives the batches of a plan one after the other: a whole run is one pass.

    For several processes each batch is cut into as many slices, which come one after the other:
    accelerate gives slice after slice to process after process.
    """

    def __init__(self, dataset: Any, plan: BatchPlan, *, processes: int = 1) -> None:
        super().__init__(dataset, batch_size=1, drop_last=False)
        self.plan, self.processes = plan, processes
        if processes > 1:
            # Slices differ in size, and accelerate drops those that are short.
            self.batch_size = None  # type: ignore[assignment]

    def __iter__(self) -> Iterator[list[int]]:
        for rows in self.plan.batches:
            for own in np.array_split(rows, self.processes):
                yield own.tolist()

    def __len__(self) -> int:
        return len(self.plan.batches) * self.processes


class Collator(SentenceTransformerDataCollator):
    """Tokenises a batch of ``training_rows``; the label holds the fields of ``losses`` Rows.

    There are two columns, query and positive, and a third with the negatives of all rows behind
    each other where any row has one.
    """

    def __call__(self, features: list[dict[str, Any]]) -> dict[str, Any]:
        rows = {name: [row[name] for row in features] for name in features[0]}
        columns = {
            "query": rows["query"],
            "positive": rows["positive"],
            "negative": list(chain.from_iterable(rows["negatives"])),
        }
        batch: dict[str, Any] = {
            f"{name}_{key}": value
            for name, texts in columns.items()
            if texts
            for key, value in self.preprocess_fn(texts).items()
        }
        counts = torch.tensor([len(own) for own in rows["negatives"]])
        batch["label"] = {
            "query": torch.tensor(rows["query_text"]),
            "positive": torch.tensor(rows["positive_text"]),
            "label": torch.tensor(rows["class"]),
            "known": _filled(rows["known"], -1).long(),
            "negative": torch.tensor(list(chain.from_iterable(rows["negative_texts"]))).long(),
            "owner": torch.repeat_interleave(torch.arange(len(features)), counts),
            "rank": torch.cat([torch.arange(count) for count in counts.tolist()]).long(),
            "teacher": _filled(rows["teacher"], float("nan")),
        }
        return batch


def _filled(lists: list[list[float]], fill: float) -> torch.Tensor:
    """Lists of any lengths as one (n, longest) float64 tensor."""
    tensors = [torch.tensor(values, dtype=torch.float64) for values in lists]
    return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True, padding_value=fill)


def training_rows(
    examples: pl.DataFrame, *, templates: Templates, max_negatives: int | None
) -> Dataset:
    """What the collator reads: rendered texts, ids of texts and classes, teacher scores."""
    table = render_examples(examples, templates=templates, max_negatives=max_negatives)
    ids, numbers = text_ids(examples), pl.List(pl.Int64)
    negatives = pl.Series("negative_texts", ids.negatives, dtype=numbers)
    scores = examples["teacher_scores"].fill_null([]).alias("teacher")
    if max_negatives is not None:
        negatives, scores = negatives.list.head(max_negatives), scores.list.head(max_negatives + 1)
    classes = examples["label"].rank("dense").fill_null(0).cast(pl.Int64) - 1
    table = table.with_columns(
        negatives,
        scores,
        classes.alias("class"),
        pl.Series("query_text", ids.query),
        pl.Series("positive_text", ids.positive),
        pl.Series("known", ids.known, dtype=numbers),
    )
    return Dataset(table.to_arrow())


class PlannedTrainer(SentenceTransformerTrainer):
    """Runs the batches of ``plan``; a loss or gradient that is not finite stops it.

    The rows of the batch at fault are then in ``<output_dir>/not_finite_step_<n>.jsonl``; the
    weights have not taken that step.
    """

    def __init__(self, *, plan: BatchPlan, examples: pl.DataFrame, name: str, **rest: Any) -> None:
        self.plan, self.examples, self.name = plan, examples, name
        super().__init__(**rest)
        self.remove_callback(PrinterCallback)  # prints each log entry where there is no bar
        self.add_callback(_Watch(self))

    @property
    def folder(self) -> Path:
        """Where the checkpoints go."""
        return Path(str(self.args.output_dir))

    def get_batch_sampler(self, dataset: Any, *_: Any, **__: Any) -> PlannedBatches:
        return PlannedBatches(dataset, self.plan, processes=world_size())

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """None: that card quotes training rows. ``encoder.saving`` writes ours."""

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        loss: torch.Tensor = super().training_step(*args, **kwargs)
        dense_gradients(self.model)
        return loss

    def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
        loss = super().compute_loss(*args, **kwargs)
        value = loss[0] if isinstance(loss, tuple) else loss
        if not torch.isfinite(value):
            self.stop("loss", value.item())
        return loss

    def stop(self, what: str, value: float) -> None:
        """Write the rows of the current batch beside the checkpoints and raise InputError."""
        step = self.state.global_step + 1
        path = self.folder / f"not_finite_step_{step}.jsonl"
        rows = self.examples[self.plan.batches[step - 1]]
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows.iter_rows(named=True))
        if is_main():
            path.write_text("".join(lines), encoding="utf-8")
        raise InputError(
            f"{self.name}, step {step}",
            expected=f"a finite {what}",
            got=value,
            fix=f"Lower learning_rate, raise temperature or use precision fp32; its rows: {path}",
        )

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        # Not the parent's: it pickles the training arguments and writes a card each time.
        folder = Path(output_dir or self.folder)
        if is_adapted(self.model):  # the frozen weights are those that the run began with
            folder.mkdir(parents=True, exist_ok=True)
            save_file(trained_weights(self.model), folder / _TRAINED)
        else:
            self.model.save_pretrained(str(folder), create_model_card=False)

    def _load_from_checkpoint(self, checkpoint_path: str) -> None:  # type: ignore[override]
        folder = Path(checkpoint_path)
        if (folder / _TRAINED).is_file():
            self.model.load_state_dict(load_file(folder / _TRAINED), strict=False)
        else:
            super()._load_from_checkpoint(checkpoint_path)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        checkpoint = self.folder / f"checkpoint-{self.state.global_step}"
        with writing(checkpoint):
            super()._save_checkpoint(model, trial)
            wait_for_all()  # each process adds the state of its random numbers
            if is_main():
                seal_checkpoint(checkpoint)
        if is_main():
            # Not with save_total_limit: it asks the clock which checkpoints are the oldest.
            keep_last_checkpoints(self.folder, _KEPT_CHECKPOINTS)
        wait_for_all()


class _Watch(TrainerCallback):
    """Progress, live metrics, and the check of the gradients."""

    def __init__(self, trainer: PlannedTrainer) -> None:
        self.trainer = trainer
        self.progress: Progress | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        give_back_free_memory()  # of whatever ran before in this process
        remaining = len(self.trainer.plan.batches) - state.global_step
        self.progress = Progress(self.trainer.name, total=remaining, unit="step")

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        # Clipped to norm 1, so no sum of finite ones overflows; a sum is cheaper than isfinite.
        gradients = (p.grad for p in self.trainer.model.parameters() if p.grad is not None)
        if not torch.stack([gradient.sum() for gradient in gradients]).isfinite().all():
            self.trainer.stop("gradient", float("nan"))

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.progress is not None:
            self.progress.advance()
        if state.global_step % _STEPS_BETWEEN_TRIMS == 0:
            give_back_free_memory()

    def on_log(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        logs = more["logs"]
        if "loss" in logs:
            values = {key: float(logs[key]) for key in ("loss", "learning_rate") if key in logs}
            events.emit(self.trainer.name, state.global_step, values)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.progress is not None:
            self.progress.__exit__()
        give_back_free_memory()
