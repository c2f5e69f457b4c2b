"""Adapt a causal language model to a corpus: it learns how its passages are asked for."""

import hashlib
import json
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    EarlyStoppingCallback,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from gecko_kedro.base import events
from gecko_kedro.base.digests import files_sha256
from gecko_kedro.base.errors import InputError, Words
from gecko_kedro.base.files import atomic_path, writing
from gecko_kedro.base.memory import give_back_free_memory
from gecko_kedro.base.precision import fast_bf16
from gecko_kedro.base.progress import Progress
from gecko_kedro.encoder.loading import quiet_loading
from gecko_kedro.teacher.adapted import RECORD
from gecko_kedro.teacher.settings import AdaptSettings
from gecko_kedro.teacher.tokens import PromptTokenizer
from gecko_kedro.training.checkpoints import (
    checkpoint_step,
    last_whole_checkpoint,
    seal_checkpoint,
)
from gecko_kedro.training.query_pairs import IGNORED, padded, token_rows

logger = logging.getLogger(__name__)
NAME = "adapt"
ADAPTATION_HISTORY_SCHEMA = pl.Schema(
    {"step": pl.Int64, "loss": pl.Float64, "heldout_loss": pl.Float64}
)  # nats a token of the query; nullable where it was not looked at
_STEPS_BETWEEN_TRIMS = 10


@dataclass(frozen=True)
class AdaptedModel:
    """A language model with its tokenizer, and what it was made from."""

    model: Any
    tokenizer: Any
    record: dict[str, Any]
    history: pl.DataFrame

    @classmethod
    def none(cls) -> "AdaptedModel":
        """In place of one where nothing is to be adapted."""
        return cls(None, None, {}, ADAPTATION_HISTORY_SCHEMA.to_frame())

    def save(self, folder: Path) -> None:
        """Weights in bfloat16, as the base has them, tokenizer and record; or the record alone."""
        with atomic_path(folder) as unfinished:
            unfinished.mkdir()
            if self.model is not None:
                with quiet_loading():
                    self.model.to(torch.bfloat16).save_pretrained(unfinished)
                self.tokenizer.save_pretrained(unfinished)
            record = json.dumps(self.record, indent=1, ensure_ascii=False)
            (unfinished / RECORD).write_text(record, "utf-8")


def adapt_language_model(
    base: Path | str,
    pairs: pl.DataFrame,
    heldout: pl.DataFrame,
    *,
    settings: AdaptSettings,
    checkpoints: Path,
    revision: str | None = None,
) -> AdaptedModel:
    """Train the last layers of the model in ``base`` to go on from a passage with its query.

    ``base`` is a folder, or a hub id of which ``revision`` is taken. ``pairs`` and ``heldout`` are
    QUERY_PAIR_SCHEMA (``query_pairs``). The input is what ``query_prefix`` makes of a
    passage, for every other row with ``ANY_KIND`` in place of its kind, since query likelihood is
    asked without one. The loss is that of the query's tokens alone (doc2query, arXiv 1904.08375;
    the likelihood of Sachan et al. 2022 is then of the corpus's own kind). Layers below the last
    ``settings.layers`` need no backward pass. Checkpoints are whole or not there, and the same call
    goes on from the last one. Training ends where the loss on ``heldout`` rises, with the weights
    of the lowest.

    Raises InputError without pairs, or for a model whose layers cannot be found.
    """
    if pairs.is_empty():
        raise InputError(
            "teacher.adapt",
            expected="natural pairs, written ones, or pairs of teacher.adapt.sources",
            got=Words("no pairs"),
            fix="Set teacher.adapt.mode to off, or name sources of pairs.",
        )
    folder = checkpoints / NAME / _digest([str(base), revision], pairs, heldout, settings)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = AutoTokenizer.from_pretrained(base, revision=revision)
    half = fast_bf16("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(settings.seed)
    with quiet_loading():
        dtype = torch.bfloat16 if half else torch.float32
        model = AutoModelForCausalLM.from_pretrained(base, dtype=dtype, revision=revision)
    _freeze(model, layers=settings.layers)
    asked = PromptTokenizer(
        tokenizer, model=str(base), chat_template="off", chat_template_kwargs={}
    )
    end = tokenizer.eos_token_id
    rows = [token_rows(part, asked, settings, end=end) for part in (pairs, heldout)]
    steps = -(-pairs.height * settings.epochs // settings.batch_size)
    found = last_whole_checkpoint(folder)
    on_cpu = not torch.cuda.is_available()
    trainer = _Adaptation(
        model=model,
        args=TrainingArguments(
            output_dir=str(folder),
            num_train_epochs=settings.epochs,
            per_device_train_batch_size=settings.batch_size,
            per_device_eval_batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            lr_scheduler_type="linear",
            warmup_steps=round(settings.warmup_ratio * steps),
            max_grad_norm=1.0,
            weight_decay=0.0,
            seed=settings.seed,
            bf16=half,
            use_cpu=on_cpu,
            dataloader_pin_memory=not on_cpu,
            logging_steps=max(1, steps // 50),
            logging_nan_inf_filter=False,
            eval_strategy="no" if heldout.is_empty() else "steps",
            eval_steps=settings.evaluation_steps,
            save_steps=settings.evaluation_steps,
            eval_on_start=not (heldout.is_empty() or found),  # it would count as no progress
            load_best_model_at_end=not heldout.is_empty(),
            prediction_loss_only=True,
            remove_unused_columns=False,
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=rows[0],
        eval_dataset=rows[1] or None,
        data_collator=lambda batch: padded(batch, end),
        callbacks=[_Watch(steps), *([] if heldout.is_empty() else [EarlyStoppingCallback(1)])],
    )
    trainer.remove_callback(PrinterCallback)  # prints each log entry where there is no bar
    if found:
        logger.info("%s: goes on after step %d of %d", NAME, checkpoint_step(found), steps)
    with quiet_loading():
        trainer.train(resume_from_checkpoint=str(found) if found else None)
    history = _history(trainer.state.log_history)
    losses = history["heldout_loss"].drop_nulls()
    record = {
        "pairs": dict(pairs.group_by("source").len().sort("source").iter_rows()),
        "kinds": dict(pairs.group_by("kind").len().sort("kind").iter_rows()),
        "heldout_pairs": heldout.height,
        "steps": steps,
        "first_heldout_loss": losses.first(),
        "last_heldout_loss": losses.last(),
        "best_heldout_loss": losses.min(),
        "settings": settings.model_dump(mode="json"),
    }
    model.train(False)
    return AdaptedModel(model, tokenizer, record, history)


def _digest(
    base: list[str | None], pairs: pl.DataFrame, heldout: pl.DataFrame, settings: AdaptSettings
) -> str:
    """Of everything that shapes the result: of a folder its weights, wherever it lies."""
    place = Path(str(base[0]))
    files = sorted(place.glob("*.safetensors")) if place.is_dir() else []
    model = files_sha256(files, place) if files else base
    tables = [hashlib.sha256(one.write_json().encode()).hexdigest() for one in (pairs, heldout)]
    told = json.dumps([model, *tables, settings.model_dump(mode="json")], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def _freeze(model: Any, *, layers: int) -> None:
    """Only the last ``layers`` learn, in float32; the others keep the format that they have."""
    blocks = next(
        (part for part in model.base_model.children() if isinstance(part, torch.nn.ModuleList)),
        None,
    )
    if blocks is None:
        raise InputError(
            "teacher.adapt.layers",
            expected="a model whose layers are one list, as in Llama, Qwen or GPT-2",
            got=type(model).__name__,
            fix="Set teacher.adapt.mode to off.",
        )
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    for block in blocks[-layers:]:
        block.float()
        for parameter in block.parameters():
            parameter.requires_grad_(True)


class _Adaptation(Trainer):
    """The loss of the query's tokens; the vocabulary's logits are computed for these alone."""

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        ids, labels = inputs["input_ids"], inputs["labels"][:, 1:]
        wanted = labels != IGNORED
        # accelerate wraps the model's own forward alone.
        with torch.autocast(ids.device.type, torch.bfloat16, enabled=self.args.bf16):
            hidden = model.base_model(
                input_ids=ids, attention_mask=inputs["attention_mask"], use_cache=False
            ).last_hidden_state[:, :-1]
            logits = model.get_output_embeddings()(hidden[wanted])
        loss = torch.nn.functional.cross_entropy(logits.float(), labels[wanted])
        if not torch.isfinite(loss):
            raise InputError(
                f"{NAME}, step {self.state.global_step + 1}",
                expected="a finite loss",
                got=loss.item(),
                fix="Lower teacher.adapt.learning_rate.",
            )
        return (loss, {}) if return_outputs else loss

    def _issue_warnings_after_load(self, load_result: Any) -> None:
        """None: what a checkpoint lacks is the head that is tied to the embeddings."""

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        checkpoint = Path(str(self.args.output_dir)) / f"checkpoint-{self.state.global_step}"
        with writing(checkpoint):
            super()._save_checkpoint(model, trial)
            seal_checkpoint(checkpoint)
        best = self.state.best_model_checkpoint
        for folder in checkpoint.parent.glob("checkpoint-*"):
            if folder != checkpoint and str(folder) != best:
                shutil.rmtree(folder)


class _Watch(TrainerCallback):
    """Progress and live metrics."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._progress: Progress | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        give_back_free_memory()  # of whatever ran before in this process
        self._progress = Progress(NAME, total=self._steps - state.global_step, unit="step")

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._progress is not None:
            self._progress.advance()
        if state.global_step % _STEPS_BETWEEN_TRIMS == 0:
            give_back_free_memory()

    def on_log(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        logs = more["logs"]
        names = {"loss": "loss", "eval_loss": "heldout_loss"}
        values = {new: float(logs[old]) for old, new in names.items() if old in logs}
        if values:
            events.emit(NAME, state.global_step, values)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._progress is not None:
            self._progress.__exit__()
        give_back_free_memory()


def _history(log: list[dict[str, float]]) -> pl.DataFrame:
    rows = [
        {
            "step": int(entry["step"]),
            "loss": entry.get("loss"),
            "heldout_loss": entry.get("eval_loss"),
        }
        for entry in log
        if "loss" in entry or "eval_loss" in entry
    ]
    return pl.DataFrame(rows, schema=ADAPTATION_HISTORY_SCHEMA)
