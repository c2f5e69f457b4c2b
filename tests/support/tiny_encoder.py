"""A random BERT of two layers, made on the spot: real code paths in milliseconds."""

import string
import tempfile
from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from transformers import BertConfig, BertModel, BertTokenizerFast

WIDTH = 32


def save_tiny_transformer(folder: Path, *, seed: int = 0) -> Path:
    """A plain transformers folder, without sentence-transformers' files."""
    characters = string.ascii_lowercase + string.digits + string.punctuation
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary += [*characters, *(f"##{character}" for character in characters)]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    tokenizer = BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=64)
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def tiny_encoder(*, seed: int = 0) -> SentenceTransformer:
    """The same transformer with mean pooling and normalisation, on the CPU in float32."""
    with tempfile.TemporaryDirectory() as folder:
        path = save_tiny_transformer(Path(folder), seed=seed)
        transformer = Transformer(str(path), max_seq_length=64)
    modules = [transformer, Pooling(WIDTH, pooling_mode="mean"), Normalize()]
    return SentenceTransformer(modules=modules, device="cpu")
