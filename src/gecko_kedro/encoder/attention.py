"""Attention for bfloat16 on a CPU: as matrix products of a few texts at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gecko_kedro.base.precision import cpu_has_amx
from gecko_kedro.encoder.model import Encoder

if TYPE_CHECKING:
    import torch

_NAME = "gecko_blocked"
_SCORES_AT_ONCE = 3 << 19  # 3 MB in bfloat16: they stay in the cache between the products


@contextmanager
def blocked_attention(model: Encoder) -> Iterator[None]:
    """Within the block a bfloat16 transformer on a CPU attends with ``attend_in_blocks``.

    With AVX512-BF16 and no AMX torch's fused kernel takes 1.5 to 2 times as long as these plain
    products (heads of 32, 64 to 256 tokens). Any other attention than the default one (sdpa) stays
    what it is, and so does any model on another device, with AMX, or in training.
    """
    import torch
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    transformer = model.transformers_model
    config = getattr(transformer, "config", None)
    chosen = getattr(config, "_attn_implementation", None)
    fits = model.device.type == "cpu" and model.dtype == torch.bfloat16 and chosen == "sdpa"
    if transformer is None or not fits or model.training or cpu_has_amx():
        yield
        return
    AttentionInterface.register(_NAME, attend_in_blocks)
    AttentionMaskInterface.register(_NAME, sdpa_mask)
    transformer.set_attn_implementation(_NAME)
    try:
        yield
    finally:
        transformer.set_attn_implementation("sdpa")


def attend_in_blocks(  # noqa: PLR0917 - transformers calls it so
    module: "torch.nn.Module",
    query: "torch.Tensor",
    key: "torch.Tensor",
    value: "torch.Tensor",
    attention_mask: "torch.Tensor | None",
    dropout: float = 0.0,
    scaling: float | None = None,
    **rest: Any,
) -> "tuple[torch.Tensor, None]":
    """softmax(q k^T scaling) v, (b, heads, t, d) each -> (b, t, heads, d).

    ``attention_mask`` is (b, 1, t, t), true where a token is seen, None for all of them. What is
    more than that (a causal mask that is not written out, fewer heads of keys, biases) goes to
    sdpa.
    """
    import torch
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    causal = rest.pop("is_causal", None)
    causal = getattr(module, "is_causal", False) if causal is None else causal
    written_out = attention_mask is None or attention_mask.dtype == torch.bool
    special = rest.get("position_bias") is not None or rest.get("softcap") is not None
    same = query.shape == key.shape == value.shape
    if dropout or special or not same or not written_out or (causal and attention_mask is None):
        return sdpa_attention_forward(
            module, query, key, value, attention_mask,
            dropout=dropout, scaling=scaling, is_causal=causal, **rest,
        )  # fmt: skip
    texts, heads, tokens, width = query.shape
    query = query * (width**-0.5 if scaling is None else scaling)
    out = query.new_empty(texts, tokens, heads, width)
    step = max(1, _SCORES_AT_ONCE // (heads * tokens * tokens))
    for start in range(0, texts, step):
        rows = slice(start, start + step)
        q, k, v = (side[rows].reshape(-1, tokens, width) for side in (query, key, value))
        scores = torch.bmm(q, k.transpose(1, 2))
        if attention_mask is not None:
            by_head = scores.view(-1, heads, tokens, tokens)
            by_head.masked_fill_(~attention_mask[rows], torch.finfo(scores.dtype).min)
        seen = torch.bmm(torch.softmax(scores, dim=-1), v)
        out[rows] = seen.view(-1, heads, tokens, width).transpose(1, 2)
    return out, None
