"""FRet as a data set: its card, and how other libraries read it."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from gecko_kedro.fret.card import fret_card
from gecko_kedro.fret.schemas import FRET, empty_table, table

FACTS: dict[str, Any] = {
    "file": "fret.parquet", "source": "my | corpus", "teacher": "lexical `v1`",
    "teacher_is_language_model": False, "prompt_versions": {"synthesis": "2+abc"},
    "settings": {"negative": "last"},
}  # fmt: skip


def fret_table(rows: int = 6) -> pl.DataFrame:
    made: list[dict[str, Any]] = [
        {
            "query_id": f"p{n}?0", "task": "Find it", "task_name": "search result",
            "query": f"query {n} שלום", "seed_id": f"p{n}", "positive_id": f"p{n}",
            "positive_title": None, "positive": f"positive {n} 🙂", "negative_id": "x",
            "negative_title": "T", "negative": f"negative {n}", "positive_is_seed": n != 1,
            "candidate_ids": [f"p{n}", "x"], "fused_ranks": [1, 2],
            "query_likelihoods": [-1.0, -2.0], "relevances": [-0.1, -3.0],
            "label_log_likelihoods": [[-2.0, -0.1], [-0.1, -3.0]],
            "retriever_scores": [0.9, 0.5], "retriever_ranks": [1, 2],
        }
        for n in range(rows)
    ]  # fmt: skip
    return table(made, FRET)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the table and its card, as relabel leaves it."""
    home = tmp_path / "fret"
    home.mkdir()
    fret_table().write_parquet(home / "fret.parquet", compression="zstd")
    (home / "README.md").write_text(fret_card(fret_table(), **FACTS), "utf-8")
    return home


def test_the_card_counts_and_says_who_the_teacher_was() -> None:
    card = fret_card(fret_table(), **FACTS)
    assert "| rows | 6 |" in card
    assert "| whose positive is not the seed | 1 |" in card
    assert "| candidates | 12 |" in card
    assert "No language model was used" in card
    assert "`my \\| corpus`" in card
    assert "`lexical 'v1'`" in card
    assert "No language model" not in fret_card(
        fret_table(), **{**FACTS, "teacher_is_language_model": True}
    )
    assert "| rows | 0 |" in fret_card(empty_table(FRET), **FACTS)


def test_every_column_is_in_the_card_and_in_the_documentation() -> None:
    document = (Path(__file__).resolve().parents[2] / "docs/fret-format.md").read_text("utf-8")
    card = fret_card(fret_table(), **FACTS)
    for name in FRET:
        assert f"`{name}`" in document, name
        assert f"| {name} |" in card


def test_datasets_loads_the_file_and_the_folder_whole(folder: Path, tmp_path: Path) -> None:
    from datasets import load_dataset

    cache = str(tmp_path / "cache")
    by_file = load_dataset(
        "parquet", data_files=str(folder / "fret.parquet"), split="train", cache_dir=cache
    )
    by_card = load_dataset(str(folder), split="train", cache_dir=cache)
    assert by_file.column_names == by_card.column_names == FRET.names()
    assert by_file[1] == by_card[1] == fret_table().row(1, named=True)


def test_sentence_transformers_trains_on_anchor_positive_negative(
    folder: Path, tmp_path: Path
) -> None:
    import torch
    from datasets import load_dataset
    from sentence_transformers import (
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    from tests.support.tiny_encoder import tiny_encoder

    fret = load_dataset(
        "parquet", data_files=str(folder / "fret.parquet"), split="train",
        cache_dir=str(tmp_path / "cache"),
    )  # fmt: skip
    columns = {"query": "anchor", "positive": "positive", "negative": "negative"}
    triplets = fret.select_columns(list(columns)).rename_columns(columns)
    model = tiny_encoder()
    before = model.encode("query 1", convert_to_tensor=True)
    SentenceTransformerTrainer(
        model=model, train_dataset=triplets, loss=MultipleNegativesRankingLoss(model),
        args=SentenceTransformerTrainingArguments(
            output_dir=str(tmp_path / "out"), max_steps=1, per_device_train_batch_size=4,
            report_to="none", save_strategy="no", use_cpu=True, dataloader_pin_memory=False,
        ),
    ).train()  # fmt: skip
    assert not torch.equal(before, model.encode("query 1", convert_to_tensor=True))
