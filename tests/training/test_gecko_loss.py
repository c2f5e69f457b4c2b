"""``GeckoLoss`` in a plain trainer of sentence-transformers."""

from pathlib import Path

import pytest
import torch
from datasets import Dataset
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)

from gecko_kedro.base.errors import InputError
from gecko_kedro.training.losses import GeckoLoss
from tests.support.tiny_encoder import WIDTH, tiny_encoder

TOPICS = ("tea", "salt", "rice", "plums", "honey", "soup")
ROWS = {
    "anchor": [f"how is {topic} kept" for topic in TOPICS],
    "positive": [f"{topic} is kept dry, in the dark" for topic in TOPICS],
    "negative": [f"{topic} was sold in {1900 + n}" for n, topic in enumerate(TOPICS)],
}
TAU = 0.05


def vectors(model: SentenceTransformer, rows: dict[str, list[str]]) -> list[torch.Tensor]:
    """(n, d) float64 of each column, not normalised."""
    model.eval()
    with torch.no_grad():
        return [
            model(model.preprocess(texts))["sentence_embedding"].double() for texts in rows.values()
        ]


def equation_3(columns: list[torch.Tensor], dimension: int) -> float:
    """One term after the other, as the paper writes it."""
    queries, positives, *negatives = (
        torch.nn.functional.normalize(column[:, :dimension], dim=1) for column in columns
    )
    n, total = len(queries), 0.0
    for i in range(n):
        terms = [float(queries[i] @ positives[j]) for j in range(n)]
        terms += [float(queries[i] @ queries[j]) for j in range(n) if j != i]
        terms += [float(queries[i] @ column[i]) for column in negatives]
        denominator = sum(torch.tensor(term / TAU, dtype=torch.float64).exp() for term in terms)
        total -= float(torch.log(torch.tensor(terms[i] / TAU).double().exp() / denominator))
    return total / n


def loss_of(loss: GeckoLoss, rows: dict[str, list[str]]) -> float:
    with torch.no_grad():
        return float(loss([loss.model.preprocess(texts) for texts in rows.values()], labels=None))


@pytest.mark.parametrize("columns", [2, 3])
def test_the_loss_is_equation_3_at_each_dimension(columns: int) -> None:
    model = tiny_encoder()
    rows = dict(list(ROWS.items())[:columns])
    expected = sum(equation_3(vectors(model, rows), size) for size in (WIDTH, 16))
    loss = GeckoLoss(model, temperature=TAU, matryoshka_dims=[WIDTH, 16])
    assert loss_of(loss, rows) == pytest.approx(expected, abs=1e-5)


def test_several_negatives_of_a_row_are_its_own() -> None:
    model = tiny_encoder()
    rows = ROWS | {"negative_2": [f"{topic} is grown far away" for topic in reversed(TOPICS)]}
    expected = equation_3(vectors(model, rows), WIDTH)
    assert loss_of(GeckoLoss(model), rows) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("cached", [False, True])
def test_a_plain_trainer_trains_with_it(tmp_path: Path, cached: bool) -> None:
    model = tiny_encoder()
    before = equation_3(vectors(model, ROWS), WIDTH) + equation_3(vectors(model, ROWS), 16)
    loss = GeckoLoss(
        model, temperature=TAU, matryoshka_dims=[WIDTH, 16],
        cached=cached, tokens_per_pass=64 if cached else None,
    )  # fmt: skip
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(tmp_path), max_steps=3, per_device_train_batch_size=len(TOPICS),
        learning_rate=1e-2, logging_steps=1, save_strategy="no", report_to="none", use_cpu=True,
        disable_tqdm=True, dataloader_pin_memory=False,
    )  # fmt: skip
    trainer = SentenceTransformerTrainer(
        model=model, args=arguments, train_dataset=Dataset.from_dict(ROWS), loss=loss
    )
    trainer.train()
    logged = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert len(logged) == 3
    after = equation_3(vectors(model, ROWS), WIDTH) + equation_3(vectors(model, ROWS), 16)
    assert after < before
    model.save_pretrained(str(tmp_path / "saved"))
    card = (tmp_path / "saved" / "README.md").read_text("utf-8")
    assert "lee2024gecko" in card
    assert '"temperature": 0.05' in card


def test_a_batch_of_any_size_has_the_same_gradient_in_small_passes() -> None:
    gradients = []
    for options in ({}, {"cached": True, "tokens_per_pass": 32}):
        model = tiny_encoder().eval()
        loss = GeckoLoss(model, matryoshka_dims=[WIDTH, 8], **options)
        loss([model.preprocess(texts) for texts in ROWS.values()]).backward()
        gradients.append([weight.grad for weight in model.parameters() if weight.grad is not None])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_a_size_that_the_model_does_not_have_is_refused() -> None:
    with pytest.raises(InputError, match="sizes from 1 to 32"):
        GeckoLoss(tiny_encoder(), matryoshka_dims=[64, 32])
