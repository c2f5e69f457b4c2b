"""A toy corpus, a tiny random encoder and score tables, made on the spot."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from gecko_kedro.encoder.encoding import encode_texts
from gecko_kedro.evaluation.comparing.comparison import Comparison, compare
from gecko_kedro.evaluation.scoring import mteb_models
from gecko_kedro.evaluation.scoring.score_table import PER_QUERY_SCHEMA, SCORES_SCHEMA, ScoreTable
from gecko_kedro.evaluation.tasks.retrieval import RetrievalData
from gecko_kedro.fret import LABEL_SAMPLE

TOPICS = ("river", "engine", "violin", "harvest", "glacier", "lantern", "pepper", "anchor")
METRICS = ("ndcg_at_10", "recall_at_20", "mrr_at_10")
PLACES = ("north", "harbour", "valley")
SHIFTS = {"base": 0.0, "bm25": -0.1, "pretrained": 0.03, "gecko": 0.08}


@pytest.fixture(scope="session")
def toy_data() -> RetrievalData:
    """24 passages, some titled, and 16 queries in 4 groups with one to three relevant passages."""
    corpus = [
        {
            "id": f"p{t}{p}",
            "title": topic.title() if p else None,
            "text": f"the {topic} near the {place} was seen by {t + p} people",
        }
        for t, topic in enumerate(TOPICS)
        for p, place in enumerate(PLACES)
    ]
    queries = [
        {"id": f"q{n}", "text": f"{TOPICS[n % 8]} {PLACES[n % 3]}", "group": f"g{n % 4}"}
        for n in range(16)
    ]
    qrels = [
        {"query_id": f"q{n}", "passage_id": f"p{n % 8}{p}", "score": 1}
        for n in range(16)
        for p in range(1 + n % 3)
    ]
    return RetrievalData("toy", pl.DataFrame(corpus), pl.DataFrame(queries), pl.DataFrame(qrels))


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """All texts that reach the model."""
    seen: list[str] = []

    def encode_and_count(model, texts, **settings):
        seen.extend(texts)
        return encode_texts(model, texts, **settings)

    monkeypatch.setattr(mteb_models, "encode_texts", encode_and_count)
    return seen


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random one-layer BERT of 32 dimensions, in transformers' layout."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    words = ("the", "near", "was", "seen", "by", "people", "title", "text", "none", "search")
    vocabulary = ["[PAD]", "[UNK]", "task", "query", "result", ":", "|", *words, *TOPICS, *PLACES]
    tokenizer = Tokenizer(
        models.WordLevel({word: row for row, word in enumerate(vocabulary)}, unk_token="[UNK]")
    )
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    folder = tmp_path_factory.mktemp("tiny_encoder")
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", model_max_length=64
    ).save_pretrained(folder)
    torch.manual_seed(7)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=64,
    )  # fmt: skip
    BertModel(config).eval().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def made_up_scores() -> Callable[..., tuple[ScoreTable, pl.DataFrame]]:
    """Gives a score table of ``{model: mean shift}`` over made-up queries, and their groups."""

    def make(
        shifts: dict[str, float],
        *,
        queries: int = 200,
        groups: int = 25,
        dims: tuple[int, ...] = (384, 128),
        task: str = "heldout",
    ) -> tuple[ScoreTable, pl.DataFrame]:
        rng = np.random.default_rng(11)
        difficulty = rng.uniform(0.2, 0.7, queries)
        rows, means = [], []
        for model, shift in shifts.items():
            for dimension in (None,) if model == "bm25" else dims:
                cut = 0 if dimension in (None, dims[0]) else 0.05
                single = np.clip(difficulty + shift - cut + rng.normal(0, 0.1, queries), 0, 1)
                rows += [
                    {"model": model, "dimension": dimension, "task": task, "query_id": f"q{n:04}",
                     "score": float(value), "gold": None,
                     "top_ids": [f"p{n % 7}", f"p{(n + 1) % 7}"]}
                    for n, value in enumerate(single)
                ]  # fmt: skip
                means += [
                    {"model": model, "dimension": dimension, "task": task, "type": "Retrieval",
                     "metric": metric, "main": metric == METRICS[0],
                     "score": float(min(1, single.mean() * factor))}
                    for metric, factor in zip(METRICS, (1, 1.3, 0.95), strict=True)
                ]  # fmt: skip
        names = [f"q{n:04}" for n in range(queries)]
        owners = pl.DataFrame(
            {"query_id": names, "group": [f"package{n % groups}" for n in range(queries)]}
        ).select(pl.lit(task).alias("task"), "query_id", "group")
        table = ScoreTable(
            pl.DataFrame(means, schema=SCORES_SCHEMA),
            pl.DataFrame(rows, schema=PER_QUERY_SCHEMA),
        )
        return table, owners

    return make


@pytest.fixture
def label_sample() -> pl.DataFrame:
    """Two FRet examples as relabel gives them."""
    rows = [
        {"task": "find the passage that answers", "query": "how is a tie broken",
         "positive": "Ties: the lower id comes first.", "negative": "A tie is worn at weddings.",
         "positive_is_seed": True},
        {"task": "search result", "query": "sorting order of results",
         "positive": "Results are sorted by score.", "negative": None, "positive_is_seed": None},
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=LABEL_SAMPLE)


@pytest.fixture
def comparison(made_up_scores: Callable) -> Comparison:
    """Of three models and BM25 over made-up queries, the tuned one the best."""
    table, groups = made_up_scores(SHIFTS)
    return compare(table, groups, base="base", tuned="gecko", pretrained="pretrained",
                   resamples=500, seed=1)  # fmt: skip


@pytest.fixture
def history() -> pl.DataFrame:
    """Three steps of a training."""
    return pl.DataFrame(
        {"step": [10, 20, 30], "epoch": [0.1, 0.2, 0.3], "loss": [2.0, 1.2, 0.9],
         "learning_rate": [1e-5, 2e-5, 1e-5], "grad_norm": [None, 1.0, 2.0]}
    )  # fmt: skip
