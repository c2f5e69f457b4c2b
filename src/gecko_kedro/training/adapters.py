"""Low-rank adapters (LoRA): few trained weights beside frozen ones, merged into them at the end."""

import importlib.util
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from gecko_kedro.base.errors import InputError, Words
from gecko_kedro.encoder.model import Encoder
from gecko_kedro.training.settings import LoraSettings

ALL_LINEAR = "all-linear"


@contextmanager
def adapted(model: Encoder, settings: LoraSettings | None, *, seed: int) -> Iterator[None]:
    """Within the block only adapters of the transformer and the modules behind it are trained.

    Each adapted weight W (out, in) becomes W + (alpha / rank) B A, with A (rank, in) random, the
    same for the same ``seed``, and B (out, rank) zero (LoRA, Hu et al. 2021, arXiv 2106.09685). At
    the end the product is added to W, so ``model`` has the layers and names it had before and
    computes what the adapted one did, to rounding. After an error the adapters are dropped and W is
    as before. None leaves everything as it is.

    Raises InputError where peft is missing or a target module is in no layer.
    """
    if settings is None:
        yield
        return
    transformer = model.transformers_model
    check_adaptable(transformer, settings)
    frozen = [(weight, weight.requires_grad) for weight in model.parameters()]
    tuner = _attach(transformer, settings, seed=seed)
    try:
        yield
        tuner.merge_and_unload()
    except BaseException:
        tuner.unload()
        raise
    finally:
        transformer.__dict__.pop("peft_config", None)  # older versions of peft leave it behind
        for weight, trained in frozen:
            weight.requires_grad_(trained)


def check_adaptable(transformer: Any, settings: LoraSettings) -> None:
    """Raise InputError unless adapters of these settings can be put into ``transformer``."""
    if importlib.util.find_spec("peft") is None:
        raise InputError(
            "encoder.train.lora",
            expected="the installed package peft",
            got=Words("no such package"),
            fix="Run: pip install 'gecko-kedro[lora]', or set encoder.train.lora to null.",
        )
    from transformers.pytorch_utils import Conv1D

    is_model = isinstance(transformer, torch.nn.Module)
    layers = transformer.named_modules() if is_model else ()
    linear = [name for name, layer in layers if isinstance(layer, (torch.nn.Linear, Conv1D))]
    if not linear:
        raise InputError(
            "encoder.train.lora",
            expected="a transformers model with linear layers",
            got=type(transformer).__name__,
            fix="Set encoder.train.lora to null.",
        )
    ends = () if settings.target_modules == ALL_LINEAR else settings.target_modules
    unknown = [end for end in ends if not any(f".{name}".endswith(f".{end}") for name in linear)]
    if unknown:
        known = sorted({name.rpartition(".")[2] for name in linear})
        raise InputError(
            "encoder.train.lora.target_modules",
            expected=f"{ALL_LINEAR!r}, or ends of the names of linear layers, such as {known}",
            got=unknown,
            fix="Correct the names; a longer end, such as 'attention.self.query', takes fewer.",
        )


def trained_weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The weights that training changes, by name; all of them without adapters."""
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


def is_adapted(model: torch.nn.Module) -> bool:
    """Whether ``model`` is within a block of ``adapted`` that has settings."""
    return any(".lora_A." in name for name, _ in model.named_parameters())


def _attach(transformer: Any, settings: LoraSettings, *, seed: int) -> Any:
    from peft import LoraConfig, LoraModel

    targets = settings.target_modules
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=targets if targets == ALL_LINEAR else list(targets),
    )
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # GPT-2's Conv1D keeps its weight transposed: peft sees that and says so.
        warnings.filterwarnings("ignore", message="fan_in_fan_out", category=UserWarning)
        torch.default_generator.manual_seed(seed)
        return LoraModel(transformer, {"default": config}, "default")
