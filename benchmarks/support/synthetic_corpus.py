"""A corpus of any size by a seeded generator, and a tiny transformer to embed it with."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq

_ROWS_AT_ONCE = 16_384
_VOCABULARY = 12_000
_WIDTH = 128


def write_passages(path: Path, count: int, *, seed: int = 7) -> None:
    """``count`` passages (PASSAGE_SCHEMA) of 24 to 60 words, written as they are made."""
    writer = None
    for table in _passages(count, seed):
        arrow = table.to_arrow()
        writer = writer or pq.ParquetWriter(path, arrow.schema, compression="zstd")
        writer.write_table(arrow)
    if writer is not None:
        writer.close()


def write_queries(path: Path, passages: Path, count: int, *, seed: int = 7) -> None:
    """``count`` queries (QUERY): seven words of a passage, which is the seed."""
    table = pl.scan_parquet(passages)
    size = table.select(pl.len()).collect().item()
    rows = np.sort(np.random.default_rng(seed).choice(size, size=count, replace=False))
    seeds = table.select("passage_id", "text").with_row_index("row")
    chosen = seeds.filter(pl.col("row").is_in(pl.Series(rows).implode())).collect()
    chosen.select(
        query_id=pl.col("passage_id") + "?0",
        task=pl.lit("Given keywords, find the passage."),
        task_name=pl.lit("keyword search"),
        query=pl.col("text").str.split(" ").list.slice(3, 7).list.join(" "),
        passage_id="passage_id",
        origin=pl.lit("synthetic"),
    ).write_parquet(path)


def save_tiny_encoder(folder: Path) -> None:
    """One layer of BERT, 128 wide, with random weights and MiniLM's tokeniser."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from transformers import AutoTokenizer, BertConfig, BertModel

    from gecko_kedro.encoder.loading import resolve_reference

    torch.manual_seed(7)
    tokeniser = AutoTokenizer.from_pretrained(resolve_reference("all-MiniLM-L6-v2"))
    config = BertConfig(
        vocab_size=len(tokeniser), hidden_size=_WIDTH, num_hidden_layers=1,
        num_attention_heads=2, intermediate_size=2 * _WIDTH, max_position_embeddings=512,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as plain:
        BertModel(config).save_pretrained(plain)
        tokeniser.save_pretrained(plain)
        transformer = Transformer(plain, max_seq_length=64)
    modules = [transformer, Pooling(_WIDTH, pooling_mode="mean"), Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder))


def _passages(count: int, seed: int) -> Iterator[pl.DataFrame]:
    random = np.random.default_rng(seed)
    words = _words(random)
    shares = 1.0 / (np.arange(len(words)) + 10.0)  # some words are frequent, most are rare
    for start in range(0, count, _ROWS_AT_ONCE):
        size = min(_ROWS_AT_ONCE, count - start)
        lengths = random.integers(24, 61, size=size)
        drawn = words[random.choice(len(words), size=lengths.sum(), p=shares / shares.sum())]
        ends = np.cumsum(lengths)
        texts = [
            " ".join(drawn[end - length : end]) for end, length in zip(ends, lengths, strict=True)
        ]
        ids = pl.Series("passage_id", [f"p{row:08d}" for row in range(start, start + size)])
        text = pl.Series("text", texts)
        yield pl.DataFrame([ids, text]).select(
            "passage_id", doc_id="passage_id", title=pl.col("text").str.split(" ").list.first(),
            summary=pl.lit(None, pl.String), text="text", group="passage_id",
            start=pl.lit(0, pl.Int64), end=pl.col("text").str.len_chars().cast(pl.Int64),
        )  # fmt: skip


def _words(random: np.random.Generator) -> np.ndarray:
    """Pronounceable words of two to four syllables, each once."""
    starts, vowels = list("bdfgklmnprstvz"), list("aeiou")
    made: dict[str, None] = {}
    while len(made) < _VOCABULARY:
        syllables = random.integers(2, 5)
        made["".join(random.choice(starts) + random.choice(vowels) for _ in range(syllables))] = (
            None
        )
    return np.array(list(made), dtype=object)
