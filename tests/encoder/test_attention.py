"""Attention in blocks: the same function, and only where it is meant to be."""

import pytest
import torch
from torch import nn

from gecko_kedro.encoder import attention
from gecko_kedro.encoder.attention import attend_in_blocks, blocked_attention
from gecko_kedro.encoder.encoding import encode_texts
from tests.support.tiny_encoder import tiny_encoder

TEXTS, HEADS, WIDTH = 5, 3, 8


@pytest.fixture(autouse=True)
def no_amx(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "cpu_has_amx", lambda: False)


def sides(tokens: int, *, heads_of_keys: int = HEADS) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(tokens)
    heads = (HEADS, heads_of_keys, heads_of_keys)
    return tuple(
        torch.randn(TEXTS, n, tokens, WIDTH, generator=generator, dtype=torch.float64)
        for n in heads
    )


def by_definition(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None
) -> torch.Tensor:
    scores = query @ key.transpose(2, 3) / WIDTH**0.5
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return (torch.softmax(scores, dim=-1) @ value).transpose(1, 2)


def seen(tokens: int) -> torch.Tensor:
    """A padding mask, and a token less for each row of a text: no two rows are alike."""
    mask = torch.ones(TEXTS, 1, tokens, tokens, dtype=torch.bool).tril(tokens // 2)
    for text in range(TEXTS):
        mask[text, :, :, tokens - text :] = False
    return mask


@pytest.mark.parametrize("scores_at_once", [1, 1000, 1 << 20])
@pytest.mark.parametrize("tokens", [7, 33])
@pytest.mark.parametrize("masked", [False, True])
def test_it_is_attention_whatever_the_blocks(
    tokens: int, masked: bool, scores_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "_SCORES_AT_ONCE", scores_at_once)
    mask = seen(tokens) if masked else None
    found, weights = attend_in_blocks(nn.Module(), *sides(tokens), mask)
    assert weights is None
    torch.testing.assert_close(found, by_definition(*sides(tokens), mask))


def test_a_text_of_which_nothing_is_seen_has_no_nan() -> None:
    mask = torch.zeros(TEXTS, 1, 7, 7, dtype=torch.bool)
    found, _ = attend_in_blocks(nn.Module(), *(side.bfloat16() for side in sides(7)), mask)
    assert found.isfinite().all()


def test_a_causal_mask_that_is_not_written_out_is_kept() -> None:
    module = nn.Module()
    module.is_causal = True
    found, _ = attend_in_blocks(module, *sides(9), None)
    causal = torch.ones(1, 1, 9, 9, dtype=torch.bool).tril()
    torch.testing.assert_close(found, by_definition(*sides(9), causal))


def test_fewer_heads_of_keys_are_shared() -> None:
    module = nn.Module()
    module.num_key_value_groups = HEADS
    query, key, value = sides(9, heads_of_keys=1)
    found, _ = attend_in_blocks(module, query, key, value, None, is_causal=False)
    shared = (side.expand(-1, HEADS, -1, -1) for side in (key, value))
    torch.testing.assert_close(found, by_definition(query, *shared, None))


@pytest.mark.parametrize("half", [False, True])
def test_only_bfloat16_attends_so_and_the_models_own_comes_back(half: bool) -> None:
    model = tiny_encoder().eval()
    if half:
        model = model.bfloat16()
    config = model.transformers_model.config  # type: ignore[union-attr]
    own = config._attn_implementation
    with blocked_attention(model):
        assert (config._attn_implementation == "gecko_blocked") == half
    assert config._attn_implementation == own == "sdpa"


def test_with_amx_the_fused_kernel_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "cpu_has_amx", lambda: True)
    model = tiny_encoder().eval().bfloat16()
    with blocked_attention(model):
        config = model.transformers_model.config  # type: ignore[union-attr]
        assert config._attn_implementation == "sdpa"


def test_another_attention_that_was_chosen_stays() -> None:
    model = tiny_encoder().eval().bfloat16()
    model.transformers_model.set_attn_implementation("eager")  # type: ignore[union-attr]
    with blocked_attention(model):
        config = model.transformers_model.config  # type: ignore[union-attr]
        assert config._attn_implementation == "eager"


def test_the_vectors_are_those_of_the_fused_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"text number {i} " + "more " * i for i in range(30)]
    model = tiny_encoder().bfloat16()
    calls = []
    monkeypatch.setattr(
        attention, "attend_in_blocks",
        lambda *inputs, **rest: calls.append(1) or attend_in_blocks(*inputs, **rest),
    )  # fmt: skip
    found = torch.tensor(encode_texts(model, texts, batch_size=7))
    assert calls
    theirs = torch.tensor(model.encode(texts))
    assert torch.nn.functional.cosine_similarity(found, theirs.float()).min() > 0.999
