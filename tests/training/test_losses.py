"""The losses against plain double loops in float64."""

import math
from dataclasses import dataclass, replace

import pytest
import torch
from sentence_transformers.sentence_transformer.losses import (
    MatryoshkaLoss,
    MultipleNegativesRankingLoss,
)
from torch import Tensor

from gecko_kedro.training.losses.distillation import distillation_loss
from gecko_kedro.training.losses.embedded import Rows, Vectors
from gecko_kedro.training.losses.gecko import GeckoObjective
from gecko_kedro.training.losses.in_batch import InBatchLoss
from gecko_kedro.training.losses.masks import NO_MASKS
from gecko_kedro.training.losses.objective import Objective, spread_out
from gecko_kedro.training.settings import MaskSettings

TEMPERATURE = 0.05


def only(**switched: object) -> MaskSettings:
    """No masks but these."""
    return NO_MASKS.model_copy(update=switched)


def columns(*sizes: int, width: int = 8, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(rows, width, dtype=torch.float64, generator=generator, requires_grad=True)
        for rows in sizes
    ]


def cosine(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum() / (a.square().sum().sqrt() * b.square().sum().sqrt())


@dataclass(frozen=True)
class Reference:
    """Equation 3 as written, one scalar at a time, and each departure from it."""

    same_tower: bool = True
    negatives: str = "own"
    max_negatives: int = 99
    hardness: float = 0.0
    masks: MaskSettings = NO_MASKS

    def __call__(self, vectors: list[Tensor], rows: Rows) -> Tensor:
        queries, positives, *rest = vectors
        n = len(queries)
        total = torch.zeros((), dtype=torch.float64)
        for i in range(n):
            own = cosine(queries[i], positives[i])
            denominator = torch.exp(own / TEMPERATURE)
            for j in range(n):
                if i == j:
                    continue
                to_positive, to_query = (cosine(queries[i], x[j]) for x in (positives, queries))
                text = int(rows.positive[j])
                if not self.is_masked(rows, i, j, text=text, score=to_positive, own=own):
                    denominator = denominator + torch.exp(to_positive / TEMPERATURE)
                text = int(rows.query[j])
                masked = self.is_masked(rows, i, j, text=text, score=to_query, own=own)
                if self.same_tower and not masked:
                    denominator = denominator + torch.exp(to_query / TEMPERATURE)
            for k in range(len(rows.owner) if self.negatives != "none" else 0):
                denominator = denominator + self.hard_term(
                    rows, i, k, query=queries[i], negative=rest[0][k], own=own
                )
            total = total - torch.log(torch.exp(own / TEMPERATURE) / denominator)
        return total / n

    def is_masked(
        self, rows: Rows, i: int, j: int, *, text: int, score: Tensor, own: Tensor
    ) -> bool:
        masks = self.masks
        same = rows.query[i] == rows.query[j] or rows.positive[i] == rows.positive[j]
        return bool(
            (masks.same_text and same)
            or (masks.same_label and rows.label[i] == rows.label[j] and rows.label[i] >= 0)
            or (masks.known_positive and text in rows.known[i].tolist())
            or (masks.margin is not None and score > own + masks.margin)
        )

    def hard_term(
        self, rows: Rows, i: int, k: int, *, query: Tensor, negative: Tensor, own: Tensor
    ) -> Tensor:
        score = cosine(query, negative)
        if rows.rank[k] >= self.max_negatives:
            return score * 0
        if rows.owner[k] == i:
            return torch.exp(self.hardness * score.detach()) * torch.exp(score / TEMPERATURE)
        text = int(rows.negative[k])
        masks = self.masks
        if (
            self.negatives == "own"
            or (masks.same_text and text in (int(rows.positive[i]), int(rows.query[i])))
            or (masks.same_label and rows.label[i] >= 0)
            or (masks.known_positive and text in rows.known[i].tolist())
            or (masks.margin is not None and score > own + masks.margin)
        ):
            return score * 0
        return torch.exp(score / TEMPERATURE)


def assert_same_loss_and_gradient(ours: Tensor, theirs: Tensor, inputs: list[Tensor]) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    pairs = zip(
        torch.autograd.grad(ours, inputs, allow_unused=True),
        torch.autograd.grad(theirs, inputs, allow_unused=True),
        strict=True,
    )
    for gradients, leaf in zip(pairs, inputs, strict=True):
        mine, other = (torch.zeros_like(leaf) if x is None else x for x in gradients)
        torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-12)


def gecko(reference: Reference) -> GeckoObjective:
    return GeckoObjective(
        temperature=TEMPERATURE,
        same_tower=reference.same_tower,
        negatives=reference.negatives,
        max_negatives=reference.max_negatives,
        hardness=reference.hardness,
        masks=reference.masks,
    )


@pytest.mark.parametrize("counts", [[0], [1], [0, 0], [1, 1], [3, 0, 1, 2, 1], [1] * 17])
@pytest.mark.parametrize("same_tower", [True, False])
def test_gecko_loss_is_equation_3(counts: list[int], same_tower: bool) -> None:
    inputs, rows = (
        columns(len(counts), len(counts), sum(counts)),
        Rows.distinct(len(counts), counts),
    )
    reference = Reference(same_tower=same_tower)
    ours = gecko(reference)(Vectors.exact(inputs), rows)
    assert_same_loss_and_gradient(ours, reference(inputs, rows), inputs)


@pytest.mark.parametrize("rows", [1, 2, 5, 17])
def test_in_batch_loss_is_equation_2(rows: int) -> None:
    inputs = columns(rows, rows)
    reference = Reference(same_tower=False)
    loss = InBatchLoss(TEMPERATURE)
    ours = loss(Vectors.exact(inputs), Rows.distinct(rows))
    assert_same_loss_and_gradient(ours, reference(inputs, Rows.distinct(rows)), inputs)


# Rows 0 and 3 share a query, rows 1, 2 and 4 a positive; 0 and 5 and 2 and 3 a class; the query of
# row 1 has the positive of row 5 too, and that of row 5 the query of row 0; a negative of row 0 is
# the positive of row 5.
SHARING = replace(
    Rows.distinct(6, [2, 1, 0, 1, 3, 1]),
    query=torch.tensor([0, 1, 2, 0, 4, 5]),
    positive=torch.tensor([10, 11, 11, 13, 11, 15]),
    label=torch.tensor([7, -1, 8, 8, -1, 7]),
    known=torch.tensor([[-1, -1], [11, 15], [-1, -1], [-1, -1], [-1, -1], [15, 0]]),
    negative=torch.tensor([15, 21, 22, 23, 24, 25, 26, 10]),
)


@pytest.mark.parametrize(
    "masks",
    [
        NO_MASKS,
        only(same_text=True),
        only(same_label=True),
        only(known_positive=True),
        only(margin=0.1),
        only(margin=-0.5),
        only(same_text=True, known_positive=True, same_label=True, margin=0.0),
    ],
)
@pytest.mark.parametrize("negatives", ["own", "all", "none"])
def test_masks_leave_out_just_the_terms_that_they_name(masks: MaskSettings, negatives: str) -> None:
    inputs = columns(6, 6, 8)
    reference = Reference(negatives=negatives, masks=masks)
    ours = gecko(reference)(Vectors.exact(inputs), SHARING)
    assert_same_loss_and_gradient(ours, reference(inputs, SHARING), inputs)
    pairs = Reference(same_tower=False, negatives="none", masks=masks)
    in_batch = InBatchLoss(TEMPERATURE, masks)(Vectors.exact(inputs), SHARING)
    assert_same_loss_and_gradient(in_batch, pairs(inputs, SHARING), inputs[:2])


@pytest.mark.parametrize("negatives", ["own", "all"])
@pytest.mark.parametrize("max_negatives", [1, 2])
def test_hard_negatives_can_be_weighted_and_counted(negatives: str, max_negatives: int) -> None:
    inputs = columns(6, 6, 8)
    reference = Reference(negatives=negatives, hardness=5.0, max_negatives=max_negatives)
    ours = gecko(reference)(Vectors.exact(inputs), SHARING)
    assert_same_loss_and_gradient(ours, reference(inputs, SHARING), inputs)


def test_one_row_without_negative_has_no_loss_and_no_gradient() -> None:
    inputs = columns(1, 1)
    value = GeckoObjective(TEMPERATURE)(Vectors.exact(inputs), Rows.distinct(1))
    assert value.item() == 0
    assert all(not gradient.any() for gradient in torch.autograd.grad(value, inputs))


@pytest.mark.parametrize("hardness", [0.0, 5.0])
def test_the_stock_loss_is_ours_with_the_negatives_of_all_rows(hardness: float) -> None:
    stock = MultipleNegativesRankingLoss(
        None, scale=1 / TEMPERATURE, directions=("query_to_doc", "query_to_query"),
        hardness_mode="hard_negatives", hardness_strength=hardness,
    )  # fmt: skip
    triples, rows = columns(9, 9, 9), Rows.distinct(9, [1] * 9)
    theirs = stock.compute_loss_from_embeddings(triples, None)
    ours = GeckoObjective(TEMPERATURE, negatives="all", hardness=hardness)(
        Vectors.exact(triples), rows
    )
    assert_same_loss_and_gradient(ours, theirs, triples)
    assert GeckoObjective(TEMPERATURE, hardness=hardness)(Vectors.exact(triples), rows) < theirs


@pytest.mark.parametrize("rows", [1, 2, 7])
def test_spread_out_is_what_the_second_moment_is_above_that_of_even_vectors(rows: int) -> None:
    inputs = columns(rows, rows)
    expected = torch.zeros((), dtype=torch.float64)
    for column in inputs:
        moment = torch.zeros((), dtype=torch.float64)
        for i in range(rows):
            for j in range(rows):
                if i != j:
                    moment = moment + cosine(column[i], column[j]) ** 2 / (rows * (rows - 1))
        expected = expected + torch.relu(moment - 1 / column.shape[1])
    assert_same_loss_and_gradient(
        spread_out(Vectors.exact(inputs)), expected + sum(x.sum() for x in inputs) * 0, inputs
    )


def test_distillation_is_the_divergence_over_the_candidates_of_rows_with_scores() -> None:
    inputs, rows = columns(4, 4, 5), Rows.distinct(4, [2, 1, 2, 0])
    nan = math.nan
    scores = [[-1.0, -3.0, -2.0], [0.5, 0.7, nan], [nan, nan, nan], [1.0, nan, nan]]
    rows = replace(rows, teacher=torch.tensor(scores, dtype=torch.float64))
    queries, positives, negatives = inputs
    expected = torch.zeros((), dtype=torch.float64)
    for i, own in enumerate([[0, 1], [2]]):
        logits = [cosine(queries[i], positives[i])]
        logits += [cosine(queries[i], negatives[k]) for k in own]
        student = torch.stack(logits).div(0.1).exp()
        teacher = torch.tensor(scores[i][: len(logits)], dtype=torch.float64).div(2).exp()
        for u, t in zip(student / student.sum(), teacher / teacher.sum(), strict=True):
            expected = expected + t * (t.log() - u.log()) / 2
    ours = distillation_loss(Vectors.exact(inputs), rows, temperature=0.1, teacher_temperature=2)
    assert_same_loss_and_gradient(ours, expected, inputs)


def test_distillation_without_any_scores_is_nothing() -> None:
    inputs, rows = columns(3, 3, 3), Rows.distinct(3, [1, 1, 1])
    value = distillation_loss(Vectors.exact(inputs), rows, temperature=0.1, teacher_temperature=1)
    assert value.item() == 0
    assert all(not gradient.any() for gradient in torch.autograd.grad(value, inputs[:2]))


def test_scores_are_exact_under_bfloat16_autocast() -> None:
    inputs = [column.detach().float() for column in columns(33, 33, 33)]
    objective = Objective(GeckoObjective(0.01), (8,), temperature=0.01)
    rows = Rows.distinct(33, [1] * 33)
    plain = objective(inputs, rows)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        autocast = objective(inputs, rows)
    assert torch.equal(plain, autocast)


def test_the_objective_adds_all_terms_at_each_dimension() -> None:
    inputs, rows = columns(6, 6, 8), SHARING
    rows = replace(rows, teacher=torch.randn(6, 4, dtype=torch.float64))
    loss = GeckoObjective(TEMPERATURE)
    objective = Objective(
        loss, (8, 5, 2), temperature=TEMPERATURE, spread_out=0.5, distillation=0.25,
        teacher_temperature=3,
    )  # fmt: skip
    by_hand = torch.zeros((), dtype=torch.float64)
    for dimension in (8, 5, 2):
        cut = Vectors.exact([column[:, :dimension] for column in inputs])
        taught = distillation_loss(cut, rows, temperature=TEMPERATURE, teacher_temperature=3)
        by_hand = by_hand + loss(cut, rows) + 0.5 * spread_out(cut) + 0.25 * taught
    assert_same_loss_and_gradient(objective(inputs, rows), by_hand, inputs)


class _Given(torch.nn.Module):
    """Stands where the library's Matryoshka loss wants a model: gives vectors made before."""

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"sentence_embedding": features["vectors"]}

    def get_embedding_dimension(self) -> int:
        return 8


def test_matryoshka_is_that_of_sentence_transformers() -> None:
    inputs, rows = columns(9, 9, 9), Rows.distinct(9, [1] * 9)
    model = _Given()
    stock = MultipleNegativesRankingLoss(
        model, scale=1 / TEMPERATURE, directions=("query_to_doc", "query_to_query")
    )
    theirs = MatryoshkaLoss(model, stock, [8, 5, 2])([{"vectors": x} for x in inputs], None)
    ours = Objective(
        GeckoObjective(TEMPERATURE, negatives="all"), (8, 5, 2), temperature=TEMPERATURE
    )
    assert_same_loss_and_gradient(ours(inputs, rows), theirs, inputs)
