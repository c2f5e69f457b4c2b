"""Random causal language models and a tokenizer, made on the spot: real code in milliseconds."""

from pathlib import Path
from typing import Any, Literal

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from tokenizers.processors import TemplateProcessing
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)

Architecture = Literal["llama", "qwen3"]
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_CORPUS = [
    "Read the passage and judge how well it serves the query. Answer with the number alone.",
    "Passage: Yeast feeds on the sugars that enzymes free from the starch of the flour.",
    "Query: what makes dough swell before it is baked\nRelevance: 3",
    " 0 1 2 3 0 1 2 3",
    'Answer: {"task": "Given a question, find a passage.", "query": "why does bread rise"}',
]
_SPECIAL = ["<s>", "</s>", "<|im_start|>", "<|im_end|>"]


def tiny_tokenizer(*, vocabulary: int = 512, chat: bool = False) -> PreTrainedTokenizerFast:
    """A byte-level BPE of ``vocabulary`` tokens, all bytes among them; <s> begins every text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=_SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_CORPUS, trainer)
    tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    made = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="<|im_end|>" if chat else "</s>"
    )
    made.chat_template = CHAT_TEMPLATE if chat else None
    return made


def tiny_model(
    architecture: Architecture, *, vocabulary: int = 512, positions: int = 1024, seed: int = 0
) -> Any:
    """Two layers with grouped queries, heads of 32 (vLLM has none smaller), float32.

    Weights are large enough for uneven probabilities.
    """
    torch.manual_seed(seed)
    shape = {
        "vocab_size": vocabulary,
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": positions,
        "initializer_range": 0.1,
        "bos_token_id": 0,
        "eos_token_id": 1,
    }
    if architecture == "llama":
        return LlamaForCausalLM(LlamaConfig(**shape)).eval()
    return Qwen3ForCausalLM(Qwen3Config(head_dim=32, **shape)).eval()


def save_tiny_llm(
    folder: Path,
    architecture: Architecture = "llama",
    *,
    chat: bool = False,
    positions: int = 1024,
    seed: int = 0,
) -> Path:
    """Model and tokenizer as ``from_pretrained`` reads them."""
    tiny_model(architecture, positions=positions, seed=seed).save_pretrained(folder)
    tiny_tokenizer(chat=chat).save_pretrained(folder)
    return folder
