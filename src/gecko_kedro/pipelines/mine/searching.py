"""How the candidates are searched: exactly or by a graph, with words where that is asked for."""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gecko_kedro import fret, retrieval
from gecko_kedro.base.errors import InputError
from gecko_kedro.datasets.search_work import SearchWork
from gecko_kedro.engine import build_engine
from gecko_kedro.pipelines.mine.routing import open_graph
from gecko_kedro.retrieval.vector_table import VectorTable

logger = logging.getLogger(__name__)


def open_search(
    passages: pl.LazyFrame,
    vectors: VectorTable,
    popularity: pl.DataFrame,
    *,
    route: dict[str, Any],
    work: SearchWork,
    settings: retrieval.SearchSettings,
) -> "Search":
    """The index of the route, and what ranks beside it.

    ``passages`` are read only where BM25 is to find candidates too. ``popularity`` has a row for
    each vector, in their order, or none where it is not asked for.
    """
    exact: retrieval.Index | retrieval.SlicedIndex
    if route["route"] == "approximate":
        exact = vectors.index()
        graph = open_graph(exact, work.graphs)
    else:
        engine = build_engine(work.engine)
        exact = vectors.sliced_index(engine, threads=settings.threads, device=settings.device)
        graph = None
    words = _lexical(passages, vectors.ids) if settings.lexical_candidates else None
    popular = None if popularity.is_empty() else _in_order(popularity, vectors.ids)
    return Search(vectors, exact, graph, words, popular, settings)


@dataclass(frozen=True)
class Search:
    """The index, and what its scores are computed from.

    Of the exact route the engine's workers hold the index; a graph is searched in this process.
    """

    passages: VectorTable
    exact: retrieval.Index | retrieval.SlicedIndex
    graph: retrieval.ApproximateIndex | None
    words: retrieval.LexicalIndex | None
    popular: NDArray[np.float32] | None  # (n,); None: candidates are ranked by nearness alone
    settings: retrieval.SearchSettings

    def candidates(
        self, queries: pl.DataFrame, vectors: VectorTable, start: int, seeds: NDArray[np.int64]
    ) -> pl.DataFrame:
        """CANDIDATE rows of ``queries``, whose vectors are from row ``start`` on.

        seeds: (q,) the row of each query's seed passage, or -1. Raises InputError where the vectors
        are those of other queries.
        """
        end = start + queries.height
        if not vectors.ids[start:end].equals(queries["query_id"]):
            raise InputError(
                "search_candidates, query_vector_shards",
                expected="a vector for each row of queries, in their order",
                got=f"other ids in rows {start} to {end}",
                fix="Embed the queries again: kedro run --from-nodes mine.embed_queries",
            )
        rows = vectors.rows(start, end)
        found = self._search(rows, queries["query"])
        seed_scores = self._seed_scores(rows, seeds)
        return fret.candidates_with_seeds(
            queries,
            passage_ids=self.passages.ids,
            ids=found.ids,
            scores=found.scores,
            seed_scores=seed_scores,
            likelihoods=self._less_popularity(found.scores, found.ids),
            seed_likelihoods=self._less_popularity(seed_scores, seeds),
        )

    def _less_popularity(
        self, scores: NDArray[np.float32], ids: NDArray[np.int64]
    ) -> NDArray[np.float32] | None:
        if self.popular is None:
            return None
        return retrieval.score_less_popularity(scores, ids, self.popular)

    def _search(self, queries: NDArray[np.float32], texts: pl.Series) -> retrieval.SearchResult:
        """The best N; with words by reciprocal rank fusion, whose scores stay inner products."""
        n, threads = self.settings.n_candidates, self.settings.threads
        wanted = n if self.popular is None else max(n, self.settings.popularity_pool)
        if self.graph is None:
            found = self.exact.search(queries, wanted)
        else:
            found = self.graph.search(queries, wanted, threads=threads, sample=0)
        if self.popular is not None:
            found = retrieval.by_likelihood(found, self.popular, n)
        if self.words is None:
            return found
        both = [found, self.words.search(texts.to_list(), n)]
        ids = retrieval.fuse_results(both, n, constant=self.settings.route_constant).ids
        return retrieval.SearchResult(self.exact.score_pairs(queries, ids), ids)

    def _seed_scores(
        self, queries: NDArray[np.float32], seeds: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """(q,) score of each query with its seed, as in a search; NaN without one."""
        scores = self.exact.score_pairs(queries, seeds[:, None])[:, 0]
        return np.where(seeds >= 0, scores, np.float32(np.nan))


def _in_order(popularity: pl.DataFrame, passage_ids: pl.Series) -> NDArray[np.float32]:
    if not popularity["passage_id"].equals(passage_ids):
        raise InputError(
            "search_candidates, passage_popularity",
            expected="a row for each passage vector, in their order",
            got=f"{popularity.height} rows for {len(passage_ids)} vectors",
            fix="Measure it again: kedro run --from-nodes mine.measure_popularity",
        )
    return popularity["popularity"].to_numpy()


def _lexical(passages: pl.LazyFrame, passage_ids: pl.Series) -> retrieval.LexicalIndex:
    """BM25 over title and text of all passages, in memory, in the order of the vectors."""
    rows = passage_ids.to_frame().join(
        passages.select("passage_id", "title", "text").collect(),
        on="passage_id", how="left", maintain_order="left",
    )  # fmt: skip
    logger.info("search_candidates: BM25 finds candidates too")
    return retrieval.LexicalIndex([f"{title or ''} {text}" for _, title, text in rows.iter_rows()])


def seed_rows(queries: pl.DataFrame, passage_ids: pl.Series) -> NDArray[np.int64]:
    """(q,) row of each query's seed passage among ``passage_ids``; -1 without one."""
    seeds = queries["passage_id"].drop_nulls().unique()
    rows = (
        passage_ids.alias("passage_id")
        .to_frame()
        .with_row_index("row")
        .filter(pl.col("passage_id").is_in(seeds.implode()))
        .unique("passage_id", keep="last")
    )
    found = queries.select("passage_id").join(
        rows, on="passage_id", how="left", maintain_order="left"
    )
    return found["row"].cast(pl.Int64).fill_null(-1).to_numpy()
