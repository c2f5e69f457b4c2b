"""What mteb evaluates: an encoder at one dimension and number format, BM25, and their fusion."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from mteb.models import ModelMeta
from mteb.models.abs_encoder import AbsEncoder, get_prompt_name
from mteb.models.model_meta import ScoringFunction
from mteb.models.search_wrappers import SearchEncoderWrapper
from mteb.types import PromptType

from gecko_kedro.encoder.encoding import Vectors, encode_texts, truncate_vectors
from gecko_kedro.encoder.formatting import TEMPLATES, render_passage, render_query
from gecko_kedro.evaluation.scoring.settings import Precision
from gecko_kedro.evaluation.scoring.under_test import EncoderUnderTest
from gecko_kedro.evaluation.tasks.settings import TaskPrompt
from gecko_kedro.retrieval import LexicalIndex

_HYBRID_DEPTH = 100  # passages of each route that are fused


class EmbedOnce:
    """Vectors at full width; each distinct text is encoded once, the model loaded at the first.

    All dimensions of one model share it, so that a further dimension costs no forward pass.
    """

    def __init__(self, encoder: EncoderUnderTest) -> None:
        self._encoder = encoder
        self.model: Callable[[], Any] = cache(encoder.load.load)
        self._rows: dict[str, int] = {}
        self._vectors: Vectors | None = None  # (distinct texts, d)
        self.encoded = 0

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """``(n, d)`` float32, L2-normalised, in the order of ``texts``."""
        new = [text for text in dict.fromkeys(texts) if text not in self._rows]
        if new or self._vectors is None:
            self.encoded += len(new)
            fresh = encode_texts(
                self.model(), new, batch_size=self._encoder.load.batch_size,
                description=f"embed for {self._encoder.name}",
            )  # fmt: skip
            self._rows |= {text: row for row, text in enumerate(new, len(self._rows))}
            known = [fresh] if self._vectors is None else [self._vectors, fresh]
            self._vectors = np.concatenate(known)
        return self._vectors[[self._rows[text] for text in texts]]

    def forget(self) -> None:
        """Free the vectors of the tasks so far; the model stays."""
        self._rows, self._vectors = {}, None


class GeckoEncoder(AbsEncoder):
    """One model at one Matryoshka dimension and number format, as mteb wants it.

    Both are part of the name: mteb averages what it takes for experiments of one model, and a
    shared name would give one dimension the cached scores of another.
    """

    def __init__(
        self,
        encoder: EncoderUnderTest,
        *,
        dimension: int,
        revision: str,
        embed: EmbedOnce,
        prompt: TaskPrompt,
        precision: Precision = "float32",
    ) -> None:
        self._templates, self._embed, self._dimension = encoder.templates, embed, dimension
        self._prompt, self._precision = prompt, precision
        self.mteb_model_meta = model_meta(
            f"{variant_name(encoder.name, precision)}-d{dimension}", revision, embed_dim=dimension,
            max_tokens=encoder.load.max_seq_length, use_instructions=encoder.templates != "none",
        )  # fmt: skip

    def encode(
        self, inputs: Any, *, task_metadata: Any, prompt_type: PromptType | None = None, **_: Any
    ) -> Vectors:
        """``(n, dimension)`` L2-normalised vectors of the texts in mteb's batches."""
        prefix = ""
        if self._templates == "own":
            prompts = self._embed.model().prompts or {}
            prefix = prompts.get(get_prompt_name(prompts, task_metadata, prompt_type) or "", "")
        texts = [
            prefix + text
            for batch in inputs
            for text in rendered(batch, self._prompt, prompt_type, self._templates)
        ]
        return quantised(truncate_vectors(self._embed(texts), self._dimension), self._precision)


def variant_name(name: str, precision: Precision) -> str:
    """The name of a model whose vectors are kept in ``precision``."""
    return name if precision == "float32" else f"{name}-{precision}"


def quantised(vectors: Vectors, precision: Precision) -> Vectors:
    """What ``(n, d)`` normalised vectors are after storage in ``precision``, normalised again.

    int8: each vector on its own scale, its largest number becoming 127, so that no calibration set
    is needed. binary: the signs, so that cosine similarity is 1 - 2 h / d with h the Hamming
    distance. A zero row stays zero.
    """
    if precision == "float32":
        return vectors
    if precision == "binary":
        stored = np.where(vectors > 0, np.float32(1), np.float32(-1))
    else:
        largest = np.abs(vectors).max(axis=1, keepdims=True)
        stored = np.rint(vectors / np.where(largest == 0, 1, largest) * 127)
    return truncate_vectors(stored.astype(np.float32), vectors.shape[1])


def rendered(
    batch: dict[str, list[str]], prompt: TaskPrompt, prompt_type: PromptType | None, templates: str
) -> list[str]:
    """The texts of one of mteb's batches in the templates of that name, else as they are.

    A passage takes the passage template unless the task is symmetric; outside retrieval mteb gives
    no type, and all texts are queries. mteb's ``text`` of a passage is title and body joined;
    ``body`` is without the title.
    """
    written = TEMPLATES.get(templates)
    if written is None:
        return list(batch["text"])
    if prompt_type == PromptType.document and not prompt.symmetric:
        bodies = batch.get("body", batch["text"])
        titles = batch.get("title") or [""] * len(bodies)
        both = zip(titles, bodies, strict=True)
        return [render_passage(title, body, templates=written) for title, body in both]
    return [render_query(prompt.task, text, templates=written) for text in batch["text"]]


def model_meta(name: str, revision: str, **fields: Any) -> ModelMeta:
    """What mteb wants to know of a model."""
    known = {"name": f"local/{name}", "revision": revision, "modalities": ["text"]}
    return ModelMeta.create_empty({**known, "similarity_fn_name": ScoringFunction.COSINE, **fields})


class Bm25Search:
    """The BM25 of mining (``retrieval.LexicalIndex``) over title and text, for mteb."""

    def __init__(self) -> None:
        import bm25s

        self.mteb_model_meta = model_meta("bm25", f"bm25s-{bm25s.__version__}-words")

    def index(self, corpus: Any, **_: Any) -> None:
        """Index title and text of each passage."""
        titles = corpus["title"] if "title" in corpus.column_names else [""] * len(corpus)
        self._ids = list(corpus["id"])
        self._rows = {passage: row for row, passage in enumerate(self._ids)}
        self._words = LexicalIndex(
            [f"{title or ''} {text}" for title, text in zip(titles, corpus["text"], strict=True)]
        )

    def search(
        self, queries: Any, *, top_k: int, top_ranked: Any = None, **_: Any
    ) -> dict[str, dict[str, float]]:
        """Up to ``top_k`` passages that share a word with the query, by query id.

        With ``top_ranked`` (reranking) all candidates of the query, those without a word at 0.
        """
        if top_ranked is not None:
            asked = zip(queries["id"], self._words.scores(list(queries["text"])), strict=True)
            return {
                query: {one: float(scores[self._rows[one]]) for one in top_ranked.get(query, [])}
                for query, scores in asked
            }
        found = self._words.search(list(queries["text"]), min(top_k, len(self._ids)))
        return {
            query: {self._ids[row]: float(score)
                    for row, score in zip(ids, scores, strict=True) if row >= 0}
            for query, ids, scores in zip(queries["id"], found.ids, found.scores, strict=True)
        }  # fmt: skip


class HybridSearch:
    """BM25 and an encoder's ranking, fused by reciprocal rank (Cormack et al. 2009) for mteb.

    The best hundred of each route are fused, or all candidates where the task is reranking.
    """

    def __init__(self, encoder: GeckoEncoder, *, constant: float) -> None:
        dense: Any = encoder
        self._routes = (Bm25Search(), SearchEncoderWrapper(dense))
        self._constant = constant
        lexical = self._routes[0].mteb_model_meta.revision
        name = dense.mteb_model_meta.name.removeprefix("local/")
        revision = f"{dense.mteb_model_meta.revision}-{lexical}-rrf{constant:g}"
        self.mteb_model_meta = model_meta(f"hybrid-{name}", revision)

    def index(self, corpus: Any, **more: Any) -> None:
        """Index the passages for both routes."""
        for route in self._routes:
            route.index(corpus, **more)

    def search(self, queries: Any, *, top_k: int, **more: Any) -> dict[str, dict[str, float]]:
        """Sums of 1 / (constant + rank) by query id; equal scores of a route go by id."""
        fused: dict[str, dict[str, float]] = {query: {} for query in queries["id"]}
        reranking = more.get("top_ranked") is not None
        depth = top_k if reranking else min(top_k, _HYBRID_DEPTH)
        for route in self._routes:
            found = route.search(queries, top_k=depth, **more)
            for query, scores in found.items():
                ranked = sorted(scores, key=lambda passage: (scores[passage], passage))[::-1]
                for rank, passage in enumerate(ranked, start=1):
                    share = 1 / (self._constant + rank)
                    fused[query][passage] = fused[query].get(passage, 0.0) + share
        return fused
