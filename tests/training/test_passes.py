"""Passes of like length and gradient caching: the same vectors, loss and gradient."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gecko_kedro.encoder.encoding import token_budget_ranges
from gecko_kedro.training import passes as passes_module
from gecko_kedro.training.losses.batch import BatchLoss
from gecko_kedro.training.losses.embedded import Rows
from gecko_kedro.training.losses.gecko import GeckoObjective
from gecko_kedro.training.losses.in_batch import InBatchLoss
from gecko_kedro.training.losses.objective import Objective
from gecko_kedro.training.passes import plan_passes
from gecko_kedro.training.settings import MaskSettings
from gecko_kedro.training.speed import trained_fast
from tests.support.tiny_encoder import tiny_encoder

COLUMNS = (
    ["a", "three short words", "", "long " * 70, "b c"],
    ["one", "long " * 40, "two", "words", "c"],
    ["x", "y", "long " * 20, "z", "some more words", "and", "seven", "all told"],
)
ROWS = replace(
    Rows.distinct(5, [1, 3, 0, 2, 2]),
    query=torch.tensor([0, 1, 0, 3, 4]),
    label=torch.tensor([-1, 2, 2, -1, -1]),
    known=torch.tensor([[13], [-1], [-1], [-1], [-1]]),
    teacher=torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)),
)
MODEL = tiny_encoder().eval()
ALL_MASKS = MaskSettings(margin=0.1)
OBJECTIVES = {
    "in_batch": Objective(InBatchLoss(0.05, ALL_MASKS), (32, 16), 0.05),
    "gecko": Objective(GeckoObjective(0.05), (32,), 0.05),
    "gecko with everything": Objective(
        GeckoObjective(0.05, negatives="all", hardness=5, masks=ALL_MASKS),
        (32, 16, 5), 0.05, spread_out=0.5, distillation=0.5,
    ),
}  # fmt: skip


def features(model: torch.nn.Module = MODEL) -> list[dict[str, torch.Tensor]]:
    return [model.preprocess(column) for column in COLUMNS]


def labels() -> dict[str, torch.Tensor]:
    return dict(vars(ROWS))


def gradients(model: torch.nn.Module, loss: BatchLoss, columns: int = 3) -> list[torch.Tensor]:
    model.zero_grad()
    value = loss(features(model)[:columns], labels())
    value.backward()
    found = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    return [value.detach(), *(gradient.clone() for gradient in found)]


def cost(lengths: list[int], ranges: list[tuple[int, int]], budget: int) -> float:
    return sum((end - start) * lengths[start] + budget / 32 for start, end in ranges)


def all_cuts(lengths: list[int], budget: int, start: int = 0) -> Iterator[list[tuple[int, int]]]:
    if start == len(lengths):
        yield []
    for end in range(start + 1, len(lengths) + 1):
        if lengths[start] * (end - start) <= budget or end == start + 1:
            for rest in all_cuts(lengths, budget, end):
                yield [(start, end), *rest]


@given(st.lists(st.integers(1, 300), min_size=1, max_size=8), st.integers(8, 2000))
def test_no_other_ranges_within_the_budget_cost_less(lengths: list[int], budget: int) -> None:
    lengths = sorted(lengths, reverse=True)
    least = min(cost(lengths, ranges, budget) for ranges in all_cuts(lengths, budget))
    found = token_budget_ranges(lengths, budget, cost=budget / 32)
    assert cost(lengths, found, budget) == pytest.approx(least)


def test_no_group_has_more_texts_than_are_allowed() -> None:
    assert token_budget_ranges([10] * 7, 4096, cost=64, largest=3) == [(0, 1), (1, 4), (4, 7)]


def test_short_queries_are_not_padded_to_long_passages() -> None:
    assert token_budget_ranges([100] * 8 + [10] * 8, 4096, cost=128) == [(0, 8), (8, 16)]


@given(st.lists(st.integers(1, 300), min_size=1, max_size=40), st.integers(8, 2000))
def test_ranges_keep_the_budget_and_leave_nothing_out(lengths: list[int], budget: int) -> None:
    lengths = sorted(lengths, reverse=True)
    ranges = token_budget_ranges(lengths, budget, cost=budget / 32)
    assert [i for start, end in ranges for i in range(start, end)] == list(range(len(lengths)))
    for start, end in ranges:
        assert lengths[start] * (end - start) <= budget or end == start + 1


@pytest.mark.parametrize("tokens", [8, 64, 200, 10**6, None])
def test_the_vectors_are_those_of_each_column_in_its_order(tokens: int | None) -> None:
    passes = plan_passes(MODEL, features(), tokens_per_pass=tokens)
    vectors = [MODEL(part)["sentence_embedding"] for part in passes.features]
    for column, embedded in zip(COLUMNS, passes.columns(vectors), strict=True):
        torch.testing.assert_close(embedded, MODEL.encode(column, convert_to_tensor=True))


@pytest.mark.parametrize("half", [False, True])
def test_a_pass_is_no_larger_than_the_budget_and_padded_no_more_than_it_must(
    half: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passes_module, "cpu_has_fast_bf16", lambda: half)
    step = 16 if half or not torch.backends.mkl.is_available() else 1
    passes = plan_passes(MODEL, features(), tokens_per_pass=128)
    assert len(passes.features) > 3
    for part in passes.features:
        texts, width = part["input_ids"].shape
        assert texts == 1 or texts * width <= 128
        assert width % step == 0
        assert part["attention_mask"].any(dim=0).sum() > width - step


def test_texts_padded_on_the_left_are_embedded_by_column() -> None:
    padded = features()
    for column in padded:
        column["attention_mask"] = column["attention_mask"].flip(1)
        column["input_ids"] = column["input_ids"].flip(1)
    passes = plan_passes(MODEL, padded, tokens_per_pass=32)
    assert [part["input_ids"].shape for part in passes.features] == [
        column["input_ids"].shape for column in padded
    ]


@pytest.mark.parametrize("tokens", [9, 20, 10**6, None])
def test_packed_columns_are_cut_between_texts_in_their_order(tokens: int | None) -> None:
    def packed(lengths: list[int], first: int) -> dict[str, torch.Tensor]:
        ends = torch.tensor([0, *lengths]).cumsum(0).int()
        ids = torch.arange(first, first + sum(lengths))[None]
        return {"input_ids": ids, "position_ids": ids.clone(), "cu_seq_lens_q": ends,
                "cu_seq_lens_k": ends.clone(), "max_length_q": max(lengths),
                "max_length_k": max(lengths)}  # fmt: skip

    lengths = [[3, 9, 1, 4], [12, 2, 2, 7]]
    columns = [packed(lengths[0], 0), packed(lengths[1], 17)]
    passes = plan_passes(MODEL, columns, tokens_per_pass=tokens)
    assert passes.sizes == [4, 4]
    texts = []
    for part in passes.features:
        ends = part["cu_seq_lens_q"].tolist()
        assert tokens is None or ends[-1] <= tokens or len(ends) == 2
        assert part["max_length_q"] >= max(b - a for a, b in pairwise(ends))
        texts += [part["input_ids"][0, a:b].tolist() for a, b in pairwise(ends)]
    assert [len(text) for text in texts] == [*lengths[0], *lengths[1]]
    assert [token for text in texts for token in text] == list(range(40))


# torch's own compiler imports what torch itself has deprecated.
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")
def test_compiling_is_undone_with_the_rest() -> None:
    model = tiny_encoder()
    names = list(model.state_dict())
    with trained_fast(model, threads=1, compiled=True):
        assert model.transformers_model._compiled_call_impl is not None
        assert list(model.state_dict()) == names
    assert model.transformers_model._compiled_call_impl is None


@pytest.mark.parametrize("tokens", [16, 128])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_loss_and_gradient_are_those_of_whole_columns(tokens: int, name: str) -> None:
    ours = BatchLoss(MODEL, OBJECTIVES[name], tokens_per_pass=tokens)
    whole = BatchLoss(MODEL, OBJECTIVES[name])
    for mine, theirs in zip(gradients(MODEL, ours), gradients(MODEL, whole), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("tokens", [16, 128, None])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_cached_gradient_is_the_plain_one(tokens: int | None, name: str) -> None:
    model = tiny_encoder().double().eval()
    plain = BatchLoss(model, OBJECTIVES[name], tokens_per_pass=tokens)
    cached = BatchLoss(model, OBJECTIVES[name], tokens_per_pass=tokens, cached=True)
    for mine, theirs in zip(gradients(model, cached), gradients(model, plain), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-6, atol=1e-9)


def test_the_cached_gradient_of_pairs_needs_no_negatives() -> None:
    model = tiny_encoder().double().eval()
    objective = OBJECTIVES["in_batch"]
    cached, plain = (
        gradients(model, BatchLoss(model, objective, tokens_per_pass=64, cached=c), columns=2)
        for c in (True, False)
    )
    for mine, theirs in zip(cached, plain, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-6, atol=1e-9)


def test_dropout_is_replayed_in_the_second_pass() -> None:
    model = tiny_encoder().double().train()
    found = {}
    for cached in (False, True):
        torch.manual_seed(5)
        loss = BatchLoss(model, OBJECTIVES["gecko"], tokens_per_pass=64, cached=cached)
        found[cached] = gradients(model, loss)
    for mine, theirs in zip(found[True], found[False], strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-6, atol=1e-9)


def test_scaling_the_cached_loss_scales_its_gradient() -> None:
    model = tiny_encoder().double().eval()
    loss = BatchLoss(model, OBJECTIVES["gecko"], tokens_per_pass=64, cached=True)
    whole = gradients(model, loss)[1:]
    model.zero_grad()
    (loss(features(model), labels()) / 4).backward()
    quarter = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    for part, all_of_it in zip(quarter, whole, strict=True):
        torch.testing.assert_close(4 * part, all_of_it, rtol=1e-6, atol=1e-9)


def test_only_one_pass_has_a_graph_at_a_time() -> None:
    model = tiny_encoder().train()
    alive: list[int] = []
    saved = 0

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal saved
        saved += tensor.numel()
        return tensor

    for cached in (False, True):
        saved = 0
        loss = BatchLoss(model, OBJECTIVES["gecko"], tokens_per_pass=16, cached=cached)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            loss(features(model), labels())
        alive.append(saved)
    assert alive[1] < alive[0] / 5  # what is kept is the loss on the vectors alone


def test_without_gradients_the_cached_loss_is_the_plain_one() -> None:
    plain, cached = (
        BatchLoss(MODEL, OBJECTIVES["gecko"], tokens_per_pass=64, cached=c) for c in (False, True)
    )
    with torch.no_grad():
        assert torch.equal(plain(features(), labels()), cached(features(), labels()))
