"""The seed retriever: what it is trained on, with which loss, and what is embedded."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml

from gecko_kedro import training
from gecko_kedro.encoder import encode_texts
from gecko_kedro.fret.schemas import QUERY, table
from gecko_kedro.params import EncoderParams, MineParams
from gecko_kedro.pipelines.mine import nodes
from tests.tiny_encoder import tiny_encoder

BASE = Path(__file__).resolve().parents[2] / "conf" / "base"
PASSAGES = pl.DataFrame(
    {"passage_id": ["a", "b"], "title": ["T", None], "text": ["yeast makes gas", "oil lamps"]}
)
QUERIES = table(
    [
        {"query_id": "a?0", "task": "Find it", "task_name": "fact checking",
         "query": "gas of yeast", "passage_id": "a", "origin": "synthetic"},
        {"query_id": "log:1", "task": "t", "task_name": "search result", "query": "lamps",
         "passage_id": None, "origin": "log"},
    ],
    QUERY,
)  # fmt: skip


@pytest.fixture
def encoder_params(tmp_path: Path) -> EncoderParams:
    tiny_encoder().save(str(tmp_path / "tiny"))
    raw = yaml.safe_load((BASE / "parameters_encoder.yml").read_text("utf-8"))["encoder"]
    return EncoderParams.model_validate(
        raw
        | {
            "reference": str(tmp_path / "tiny"),
            "device": "cpu",
            "dtype": "float32",
            "max_seq_length": 32,
        }
    )


def mine_params(**changes: object) -> MineParams:
    raw = yaml.safe_load((BASE / "parameters_mine.yml").read_text("utf-8"))["mine"]
    return MineParams.model_validate(raw | {"max_seq_length": 32} | changes)


def test_it_is_trained_on_queries_and_their_seeds_with_in_batch_negatives(
    encoder_params: EncoderParams, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def watch(base: object, examples: pl.DataFrame, **options: Any) -> training.TrainResult:
        asked.update(options, examples=examples)
        return training.TrainResult(base, training.HISTORY_SCHEMA.to_frame(), {})  # type: ignore[arg-type]

    monkeypatch.setattr(training, "train_encoder", watch)
    examples, quarantine = nodes.select_seed_examples(QUERIES, PASSAGES)
    nodes.train_seed_retriever(examples, tmp_path, encoder_params, mine_params())
    assert asked["loss"] == "in_batch"
    row = asked["examples"].row(0, named=True)
    assert asked["examples"].height == 1
    assert quarantine.is_empty()
    assert (row["task_name"], row["query"]) == ("fact checking", "gas of yeast")
    assert (row["positive_title"], row["positive"]) == ("T", "yeast makes gas")
    assert not row["negatives"]


def test_a_given_retriever_is_the_initial_embedder(
    encoder_params: EncoderParams, tmp_path: Path
) -> None:
    examples, _ = nodes.select_seed_examples(QUERIES, PASSAGES)
    model, history = nodes.train_seed_retriever(
        examples, tmp_path, encoder_params, mine_params(seed_retriever="given")
    )
    assert history.is_empty()
    text = ["task: fact checking | query: gas of yeast"]
    assert np.array_equal(
        encode_texts(model, text, batch_size=1),
        encode_texts(encoder_params.load(), text, batch_size=1),
    )


def test_task_and_query_are_embedded_together(encoder_params: EncoderParams) -> None:
    (shard,) = nodes.embed_queries(
        encoder_params.reference, QUERIES, frozenset(), encoder_params, mine_params()
    )
    model = encoder_params.load(max_seq_length=mine_params().max_seq_length)
    expected = encode_texts(
        model,
        ["task: fact checking | query: gas of yeast", "task: search result | query: lamps"],
        batch_size=encoder_params.batch_size,
    )
    np.testing.assert_allclose(shard.table["vector"].to_numpy(), expected, atol=1e-6)


def vector_shards(name: str, ids: list[str], vectors: list[list[float]]) -> pl.DataFrame:
    column = pl.Series("vector", vectors, dtype=pl.Array(pl.Float32, len(vectors[0])))
    return pl.DataFrame({name: ids}).with_columns(column)


def test_candidates_of_words_join_those_of_the_embedder_with_their_own_scores() -> None:
    passages = pl.DataFrame(
        {
            "passage_id": ["a", "b", "c", "d"],
            "title": [None, None, None, "Lamps"],
            "text": ["yeast makes gas", "bread", "flour", "they burn oil"],
        }
    )
    vectors = [[1.0, 0.0], [0.9, 0.1], [0.8, 0.2], [0.0, 1.0]]
    shards = (
        vector_shards("query_id", QUERIES["query_id"].to_list(), [[0.0, 1.0], [1.0, 0.0]]),
        vector_shards("passage_id", passages["passage_id"].to_list(), vectors),
    )
    alone, _ = nodes.search_candidates(QUERIES, passages, *shards, mine_params(n_candidates=2))
    joined, _ = nodes.search_candidates(
        QUERIES, passages.reverse(), *shards, mine_params(n_candidates=2, lexical_candidates=True)
    )
    of_log = pl.col("query_id") == "log:1"
    assert alone.filter(of_log)["passage_id"].to_list() == ["a", "b"]
    assert joined.filter(of_log)["passage_id"].to_list() == ["a", "d"]
    assert joined.filter(of_log)["retriever_rank"].to_list() == [1, 2]
    assert joined.filter(of_log)["retriever_score"].to_list() == [1.0, 0.0]
    assert joined.filter(~of_log)["is_seed"].sum() == 1
