"""BM25 for mteb, and its fusion with an encoder."""

from typing import Any

from gecko_kedro.evaluation.scoring.mteb_models import GeckoEncoder, model_meta
from gecko_kedro.retrieval import LexicalIndex

_HYBRID_DEPTH = 100  # passages of each route that are fused


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
                query: {passage: float(scores[self._rows[passage]])
                        for passage in top_ranked.get(query, [])}
                for query, scores in asked
            }  # fmt: skip
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
        from mteb.models.search_wrappers import SearchEncoderWrapper

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
