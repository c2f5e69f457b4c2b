"""What mteb evaluates: a Gecko encoder at one dimension, and BM25."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from mteb.models import ModelMeta
from mteb.models.abs_encoder import AbsEncoder
from mteb.models.model_meta import ScoringFunction
from mteb.types import PromptType

from gecko_kedro.encoder.encoding import Vectors, encode_texts, truncate_vectors
from gecko_kedro.encoder.formatting import render_passage, render_query
from gecko_kedro.encoder.loading import load_encoder

if TYPE_CHECKING:
    from gecko_kedro.evaluation.mteb_runner import EncoderUnderTest

DEFAULT_TASK_NAME = "search result"


class EmbedOnce:
    """Vectors at full width; each distinct text is encoded once, the model loaded at the first.

    All dimensions of one model share it, so that a further dimension costs no forward pass.
    """

    def __init__(self, encoder: "EncoderUnderTest") -> None:
        self._encoder = encoder
        self._model: Any = None
        self._rows: dict[str, int] = {}
        self._vectors: Vectors | None = None  # (distinct texts, d)
        self.encoded = 0

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """``(n, d)`` float32, L2-normalised, in the order of ``texts``."""
        new = [text for text in dict.fromkeys(texts) if text not in self._rows]
        if new or self._vectors is None:
            fresh = self._encode(new)
            start = len(self._rows)
            self._rows.update((text, row) for row, text in enumerate(new, start))
            known = [fresh] if self._vectors is None else [self._vectors, fresh]
            self._vectors = np.concatenate(known)
        return self._vectors[[self._rows[text] for text in texts]]

    def forget(self) -> None:
        """Free the vectors of the tasks so far; the model stays."""
        self._rows, self._vectors = {}, None

    def _encode(self, texts: list[str]) -> Vectors:
        if self._model is None:
            self._model = load_encoder(
                self._encoder.reference, device=self._encoder.device, dtype=self._encoder.dtype,
                max_seq_length=self._encoder.max_seq_length,
            )  # fmt: skip
        self.encoded += len(texts)
        return encode_texts(
            self._model, texts, batch_size=self._encoder.batch_size,
            description=f"embed for {self._encoder.name}",
        )  # fmt: skip


class GeckoEncoder(AbsEncoder):
    """One model at one Matryoshka dimension, as mteb wants it.

    The dimension is part of the name: mteb averages what it takes for experiments of one model,
    and a shared name would give one dimension the cached scores of another.
    """

    def __init__(
        self, encoder: "EncoderUnderTest", *, dimension: int, revision: str, embed: EmbedOnce
    ) -> None:
        self._templates, self._embed, self._dimension = encoder.templates, embed, dimension
        self.mteb_model_meta = _meta(
            f"{encoder.name}-d{dimension}", revision, embed_dim=dimension,
            max_tokens=encoder.max_seq_length, use_instructions=encoder.templates == "gecko",
        )  # fmt: skip

    def encode(
        self,
        inputs: Any,
        *,
        task_metadata: Any,
        hf_split: str,
        hf_subset: str,
        prompt_type: PromptType | None = None,
        **_: Any,
    ) -> Vectors:
        """``(n, dimension)`` L2-normalised vectors of the texts in mteb's batches."""
        texts = [
            text
            for batch in inputs
            for text in rendered(batch, task_metadata.prompt, prompt_type, self._templates)
        ]
        return truncate_vectors(self._embed(texts), self._dimension)


def rendered(
    batch: dict[str, list[str]],
    prompt: str | dict[str, str] | None,
    prompt_type: PromptType | None,
    templates: str,
) -> list[str]:
    """The texts of one of mteb's batches in Gecko's templates (or ``"none"``: as they are).

    A passage takes the passage template unless the task names a prompt for passages too, which is
    how a symmetric task says so; outside retrieval mteb gives no type, and all texts are queries.
    mteb's ``text`` of a passage is title and body joined; ``body`` is without the title.
    """
    if templates == "none":
        return list(batch["text"])
    prompts = prompt if isinstance(prompt, dict) else {"query": prompt or DEFAULT_TASK_NAME}
    if prompt_type == PromptType.document and "document" not in prompts:
        bodies = batch.get("body", batch["text"])
        titles = batch.get("title") or [""] * len(bodies)
        return [render_passage(title, body) for title, body in zip(titles, bodies, strict=True)]
    return [render_query(prompts.get("query", DEFAULT_TASK_NAME), text) for text in batch["text"]]


class Bm25Search:
    """BM25 (bm25s: Lucene's variant, k1 1.5, b 0.75, English stop words, no stemmer) for mteb."""

    def __init__(self) -> None:
        import bm25s

        self.mteb_model_meta = _meta("bm25", f"bm25s-{bm25s.__version__}-lucene-en")

    def index(self, corpus: Any, **_: Any) -> None:
        """Index title and text of each passage."""
        import bm25s

        texts = [
            f"{title or ''} {text}".strip()
            for title, text in zip(corpus["title"], corpus["text"], strict=True)
        ]
        self._ids = list(corpus["id"])
        self._retriever = bm25s.BM25()
        self._retriever.index(_tokens(texts), show_progress=False)

    def search(self, queries: Any, *, top_k: int, **_: Any) -> dict[str, dict[str, float]]:
        """Up to ``top_k`` passages that share a word with the query, by query id."""
        ids, scores = self._retriever.retrieve(
            _tokens(list(queries["text"])), k=min(top_k, len(self._ids)), show_progress=False
        )
        return {
            query: {
                self._ids[row]: float(score)
                for row, score in zip(found, values, strict=True)
                if score > 0
            }
            for query, found, values in zip(queries["id"], ids, scores, strict=True)
        }


def _tokens(texts: list[str]) -> Any:
    import bm25s

    return bm25s.tokenize(texts, stopwords="en", return_ids=False, show_progress=False)


def _meta(name: str, revision: str, **fields: Any) -> ModelMeta:
    return ModelMeta.create_empty(
        {
            "name": f"local/{name}",
            "revision": revision,
            "similarity_fn_name": ScoringFunction.COSINE,
            "modalities": ["text"],
            **fields,
        }
    )
