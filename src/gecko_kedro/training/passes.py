"""The texts of a batch in passes of like length: the same loss, less padding."""

from dataclasses import dataclass
from typing import cast

import torch
from sentence_transformers.base.losses import gradcache
from torch import Tensor, nn

from gecko_kedro.base.precision import cpu_has_fast_bf16
from gecko_kedro.encoder.encoding import (
    pad_tokens,
    padded_length,
    padded_on_the_right,
    shape_step,
    token_budget_ranges,
)
from gecko_kedro.encoder.loading import longest_input
from gecko_kedro.encoder.model import Encoder

Features = dict[str, Tensor]

# What a further pass costs, in padded tokens, as a share of the budget: its gradients are added to
# those before. Measured with MiniLM on a CPU, where it is some 50 of 2,048 tokens.
_COST_OF_A_PASS = 1 / 32


@dataclass(frozen=True)
class Passes:
    """Token tensors to embed one after the other, and the way back to the columns."""

    features: list[Features]
    back: Tensor | None  # (texts,): where each text of the columns lies; None: in their order
    sizes: list[int]  # texts of each column

    def columns(self, vectors: list[Tensor]) -> list[Tensor]:
        """The vectors of the passes, ``(texts, d)`` in all, as one tensor for each column."""
        together = torch.cat(vectors)
        if self.back is not None:
            together = together[self.back]
        return list(torch.split(together, self.sizes))


def plan_passes(
    model: nn.Module, columns: list[Features], *, tokens_per_pass: int | None
) -> Passes:
    """All texts of a batch, queries and passages alike, sorted by length and cut into passes.

    A pass has at most ``tokens_per_pass`` tokens with its padding (one text always fits), which
    bounds its memory; it is padded to its own longest text only, up to a multiple of 16 where many
    shapes cost memory. None embeds whole columns, and so does padding on the left. The vectors
    differ by no more than rounding.

    Columns that the tokenizer has packed without padding, for flash attention, are cut in their
    order, at most ``tokens_per_pass`` tokens a pass. Static embeddings, which keep nothing of a
    token but its number, take a column as a whole.
    """
    if "offsets" in columns[0]:
        return Passes(columns, None, [len(column["offsets"]) for column in columns])
    if "cu_seq_lens_q" in columns[0]:
        return _packed_passes(columns, tokens_per_pass)
    limit = longest_input(cast(Encoder, getattr(model, "module", model)))
    step = shape_step(columns[0]["input_ids"].device.type, half=cpu_has_fast_bf16())
    sizes = [len(column["input_ids"]) for column in columns]
    if tokens_per_pass is None or not all(map(padded_on_the_right, columns)):
        whole = [pad_tokens(column, limit=limit, step=step) for column in columns]
        return Passes(whole, None, sizes)
    lengths = torch.cat([column["attention_mask"].sum(dim=1) for column in columns]).cpu()
    order = torch.argsort(lengths, descending=True, stable=True)
    padded = [padded_length(length, limit=limit, step=step) for length in lengths[order].tolist()]
    together = {
        name: torch.cat([_to_width(column[name], padded[0]) for column in columns])
        for name, values in columns[0].items()
        if isinstance(values, Tensor) and values.ndim == 2
    }
    features = []
    ranges = token_budget_ranges(padded, tokens_per_pass, cost=tokens_per_pass * _COST_OF_A_PASS)
    for start, end in ranges:
        rows = order[start:end].to(columns[0]["input_ids"].device)
        features.append({name: values[rows, : padded[start]] for name, values in together.items()})
    return Passes(features, torch.argsort(order), sizes)


def _packed_passes(columns: list[Features], tokens_per_pass: int | None) -> Passes:
    sizes = [len(column["cu_seq_lens_q"]) - 1 for column in columns]
    if tokens_per_pass is None:
        return Passes(columns, None, sizes)
    features = [
        gradcache._create_minibatch(column, start, end)
        for column, size in zip(columns, sizes, strict=True)
        for start, end in gradcache._minibatch_ranges(column, size, tokens_per_pass)
    ]
    return Passes(features, None, sizes)


def _to_width(values: Tensor, width: int) -> Tensor:
    return nn.functional.pad(values, (0, width - values.shape[1]))  # negative: cuts padding
