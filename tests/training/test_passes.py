"""Embedding by length gives what embedding column by column gives."""

import pytest
import torch
from sentence_transformers.sentence_transformer.losses import MatryoshkaLoss

from gecko_kedro.training.losses.gecko import GeckoLoss
from gecko_kedro.training.losses.in_batch import InBatchLoss
from gecko_kedro.training.passes import embed_by_length
from tests.tiny_encoder import tiny_encoder

COLUMNS = (
    ["a", "three short words", "", "long " * 70, "b c"],
    ["one", "long " * 40, "two", "words", "c"],
    ["x", "y", "long " * 20, "z", "some more words"],
)
MODEL = tiny_encoder().eval()


def features() -> list[dict[str, torch.Tensor]]:
    return [MODEL.preprocess(column) for column in COLUMNS]


@pytest.mark.parametrize("rows_per_pass", [1, 2, 4, 15, 99, None])
def test_the_embeddings_are_those_of_each_column_in_its_order(rows_per_pass: int | None) -> None:
    ours = embed_by_length(MODEL, features(), rows_per_pass=rows_per_pass)
    for column, embedded in zip(COLUMNS, ours, strict=True):
        torch.testing.assert_close(embedded, MODEL.encode(column, convert_to_tensor=True))


@pytest.mark.parametrize("rows_per_pass", [1, 4, 7])
@pytest.mark.parametrize("kind", ["gecko", "in_batch"])
def test_loss_and_gradient_are_those_of_whole_columns(rows_per_pass: int, kind: str) -> None:
    def gradients(rows: int | None) -> list[torch.Tensor]:
        inner = (
            GeckoLoss(MODEL, temperature=0.05, same_tower=True, rows_per_pass=rows)
            if kind == "gecko"
            else InBatchLoss(MODEL, temperature=0.05, rows_per_pass=rows)
        )
        loss = MatryoshkaLoss(MODEL, inner, [32, 16, 5])(features(), None)
        used = [parameter for parameter in MODEL.parameters() if parameter.requires_grad]
        found = torch.autograd.grad(loss, used, allow_unused=True)
        return [loss.detach(), *(gradient for gradient in found if gradient is not None)]

    for ours, theirs in zip(gradients(rows_per_pass), gradients(None), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_texts_padded_on_the_left_are_embedded_by_column() -> None:
    padded = features()
    for column in padded:
        column["attention_mask"] = column["attention_mask"].flip(1)
        column["input_ids"] = column["input_ids"].flip(1)
    ours = embed_by_length(MODEL, [dict(column) for column in padded], rows_per_pass=2)
    for column, embedded in zip(padded, ours, strict=True):
        torch.testing.assert_close(embedded, MODEL(dict(column))["sentence_embedding"])
