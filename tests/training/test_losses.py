"""Equations 2 and 3 against plain double loops in float64."""

import math

import pytest
import torch
from sentence_transformers.sentence_transformer.losses import (
    MatryoshkaLoss,
    MultipleNegativesRankingLoss,
)
from torch import Tensor

from gecko_kedro.training.losses.gecko import GeckoLoss
from gecko_kedro.training.losses.in_batch import InBatchLoss
from tests.tiny_encoder import tiny_encoder

TEMPERATURE = 0.05


def columns(rows: int, count: int, width: int = 8, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(rows, width, dtype=torch.float64, generator=generator, requires_grad=True)
        for _ in range(count)
    ]


def cosine(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum() / (a.square().sum().sqrt() * b.square().sum().sqrt())


def reference(
    embeddings: list[Tensor], *, same_tower: bool, texts: list[tuple[int, int]] | None = None
) -> Tensor:
    """Equation 3 as written, one scalar at a time; equation 2 without the extra terms."""
    queries, positives, *negatives = embeddings
    n = len(queries)
    total = torch.zeros((), dtype=torch.float64)
    for i in range(n):
        denominator = torch.zeros((), dtype=torch.float64)
        for j in range(n):
            if texts is not None and i != j and any(map(int.__eq__, texts[i], texts[j])):
                continue
            denominator = denominator + torch.exp(cosine(queries[i], positives[j]) / TEMPERATURE)
            if same_tower and i != j:
                denominator = denominator + torch.exp(cosine(queries[i], queries[j]) / TEMPERATURE)
        for negative in negatives:
            denominator = denominator + torch.exp(cosine(queries[i], negative[i]) / TEMPERATURE)
        own = torch.exp(cosine(queries[i], positives[i]) / TEMPERATURE)
        total = total - torch.log(own / denominator)
    return total / n


def assert_same_loss_and_gradient(ours: Tensor, theirs: Tensor, inputs: list[Tensor]) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    for mine, other in zip(
        torch.autograd.grad(ours, inputs), torch.autograd.grad(theirs, inputs), strict=True
    ):
        torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("rows", [1, 2, 5, 17])
@pytest.mark.parametrize("negatives", [0, 1, 3])
@pytest.mark.parametrize("same_tower", [True, False])
def test_gecko_loss_is_equation_3(rows: int, negatives: int, same_tower: bool) -> None:
    inputs = columns(rows, 2 + negatives)
    loss = GeckoLoss(None, temperature=TEMPERATURE, same_tower=same_tower)
    ours = loss.compute_loss_from_embeddings(inputs)
    assert_same_loss_and_gradient(ours, reference(inputs, same_tower=same_tower), inputs)


@pytest.mark.parametrize("rows", [1, 2, 5, 17])
def test_in_batch_loss_is_equation_2(rows: int) -> None:
    inputs = columns(rows, 2)
    ours = InBatchLoss(None, temperature=TEMPERATURE).compute_loss_from_embeddings(inputs)
    assert_same_loss_and_gradient(ours, reference(inputs, same_tower=False), inputs)


@pytest.mark.parametrize("same_tower", [True, False])
def test_rows_that_share_a_text_are_no_negatives_of_each_other(same_tower: bool) -> None:
    # Rows 0 and 3 share a query, rows 1, 2 and 4 a positive; row 5 stands alone.
    texts = [(0, 10), (1, 11), (2, 11), (0, 13), (4, 11), (5, 15)]
    inputs = columns(len(texts), 3)
    loss = GeckoLoss(None, temperature=TEMPERATURE, same_tower=same_tower)
    ours = loss.compute_loss_from_embeddings(inputs, torch.tensor(texts))
    theirs = reference(inputs, same_tower=same_tower, texts=texts)
    assert_same_loss_and_gradient(ours, theirs, inputs)

    pairs = inputs[:2]
    ours = InBatchLoss(None, temperature=TEMPERATURE).compute_loss_from_embeddings(
        pairs, torch.tensor(texts)
    )
    assert_same_loss_and_gradient(ours, reference(pairs, same_tower=False, texts=texts), pairs)


def test_labels_of_distinct_texts_change_nothing() -> None:
    inputs = columns(7, 3)
    loss = GeckoLoss(None, temperature=TEMPERATURE, same_tower=True)
    distinct = torch.stack([torch.arange(7), torch.arange(7, 14)], dim=1)
    assert torch.equal(
        loss.compute_loss_from_embeddings(inputs),
        loss.compute_loss_from_embeddings(inputs, distinct),
    )


def test_one_row_without_negative_has_no_loss_and_no_gradient() -> None:
    inputs = columns(1, 2)
    loss = GeckoLoss(None, temperature=TEMPERATURE, same_tower=True)
    value = loss.compute_loss_from_embeddings(inputs)
    assert value.item() == 0
    assert all(not gradient.any() for gradient in torch.autograd.grad(value, inputs))


def test_the_stock_loss_agrees_on_pairs_and_counts_others_negatives_on_triples() -> None:
    ours = GeckoLoss(None, temperature=TEMPERATURE, same_tower=True)
    stock = MultipleNegativesRankingLoss(
        None, scale=1 / TEMPERATURE, directions=("query_to_doc", "query_to_query")
    )
    pairs = columns(9, 2)
    torch.testing.assert_close(
        ours.compute_loss_from_embeddings(pairs), stock.compute_loss_from_embeddings(pairs, None)
    )
    triples = columns(9, 3)
    assert ours.compute_loss_from_embeddings(triples) < stock.compute_loss_from_embeddings(
        triples, None
    )


def test_scores_are_exact_under_bfloat16_autocast() -> None:
    inputs = [column.detach().float() for column in columns(33, 3)]
    loss = GeckoLoss(None, temperature=0.01, same_tower=True)
    plain = loss.compute_loss_from_embeddings(inputs)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        autocast = loss.compute_loss_from_embeddings(inputs)
    assert torch.equal(plain, autocast)


def test_matryoshka_is_the_sum_over_the_cut_and_normalised_dimensions() -> None:
    model = tiny_encoder().eval()  # no dropout: both sides embed the texts anew
    texts = (["red fox", "blue whale", "old oak"], ["a fox", "a whale", "an oak"], ["x", "y", "z"])
    features = [model.preprocess(column) for column in texts]
    loss = GeckoLoss(model, temperature=TEMPERATURE, same_tower=True)
    several = MatryoshkaLoss(model, loss, [32, 16, 5])([dict(column) for column in features], None)
    embedded = [model(dict(column))["sentence_embedding"] for column in features]
    by_hand = sum(
        loss.compute_loss_from_embeddings([column[:, :dim] for column in embedded])
        for dim in (32, 16, 5)
    )
    torch.testing.assert_close(several, by_hand)
    assert math.isfinite(several.item())
