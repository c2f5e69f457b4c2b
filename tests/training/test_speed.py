"""What is changed for speed on a CPU gives the same gradients, and is undone."""

import pytest
import torch
from torch import nn

from gecko_kedro.training import speed
from gecko_kedro.training.speed import dense_gradients, trained_fast
from tests.support.tiny_encoder import tiny_encoder

TEXTS = ["red fox", "blue whale", "an oak and a fox"]


def embedding_gradients(*, fast: bool) -> tuple[dict[str, torch.Tensor], set[bool]]:
    """Of two passes through one model, and whether they were sparse on the way."""
    model = tiny_encoder()
    with trained_fast(model, threads=None) if fast else torch.enable_grad():
        for texts in (TEXTS[:2], TEXTS[1:]):
            model(model.preprocess(texts))["sentence_embedding"].square().sum().backward()
            model(model.preprocess(texts))["token_embeddings"].sin().sum().backward()
        tables = {
            name: table.weight
            for name, table in model.named_modules()
            if isinstance(table, nn.Embedding)
        }
        sparse = {weight.grad.is_sparse for weight in tables.values() if weight.grad is not None}
        dense_gradients(model)
    assert not any(table.sparse for table in model.modules() if isinstance(table, nn.Embedding))
    found = {name: weight.grad for name, weight in tables.items() if weight.grad is not None}
    return found, sparse


def test_sparse_gradients_of_embedding_tables_add_up_to_the_dense_ones() -> None:
    found, sparse = embedding_gradients(fast=True)
    expected, dense = embedding_gradients(fast=False)
    assert sparse == {True}
    assert dense == {False}
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        assert gradient.abs().max() > 0
        torch.testing.assert_close(found[name], gradient, atol=1e-5, rtol=1e-5)


def test_a_compiled_transformer_has_dense_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nn.Module, "compile", lambda *_, **__: None)
    model = tiny_encoder()
    with trained_fast(model, threads=None, compiled=True):
        assert not any(table.sparse for table in model.modules() if isinstance(table, nn.Embedding))


def test_several_processes_reduce_dense_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "world_size", lambda: 2)
    assert embedding_gradients(fast=True)[1] == {False}
