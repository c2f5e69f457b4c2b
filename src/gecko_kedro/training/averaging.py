"""The mean of the weights after each of the last steps of a run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import TrainerCallback

from gecko_kedro.training.adapters import trained_weights

_FILE = "averaged_weights.safetensors"


class WeightAverage(TrainerCallback):
    """The running mean of the trained weights over the last ``share`` of ``last_step`` steps.

    A point near the middle of where the last steps wander is often better than any of them
    (stochastic weight averaging, Izmailov et al. 2018, arXiv 1803.05407). The mean lies in each
    checkpoint, so a resumed run has that of an undisturbed one. With adapters it is that of their
    factors. A run that ends before the last steps has no mean.
    """

    def __init__(self, model: nn.Module, *, share: float, last_step: int) -> None:
        self.model = model
        self.after = last_step - round(share * last_step)  # the last step that does not count
        self.last_step = last_step
        self.steps = 0
        self.mean: dict[str, Tensor] = {}

    @torch.no_grad()
    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step <= self.after:
            return
        self.steps = state.global_step - self.after
        for name, weight in trained_weights(self.model).items():
            if self.steps == 1:
                self.mean[name] = weight.detach().clone()
            else:
                self.mean[name] += (weight - self.mean[name]) / self.steps

    def save(self, checkpoint: Path) -> None:
        """Write the mean, if there is one yet, beside the other files of a checkpoint."""
        if self.mean:
            save_file(self.mean, checkpoint / _FILE)

    def load(self, checkpoint: Path, *, step: int) -> None:
        """Go on from a checkpoint that was written after ``step`` steps."""
        self.steps = max(0, step - self.after)
        if self.steps:
            device = str(next(self.model.parameters()).device)
            self.mean = load_file(checkpoint / _FILE, device=device)

    @torch.no_grad()
    def put_into_model(self, better: Callable[[], bool]) -> int:
        """Give the model the mean where ``better()``, called with it in place, says so.

        Gives how many steps are in the model's weights now: 0 where it keeps its own.
        """
        if self.after + self.steps != self.last_step or not self.mean:
            return 0
        weights = trained_weights(self.model)
        own = {name: weight.detach().clone() for name, weight in weights.items()}
        for name, weight in weights.items():
            weight.copy_(self.mean[name])
        if better():
            return self.steps
        for name, weight in weights.items():
            weight.copy_(own[name])
        return 0
