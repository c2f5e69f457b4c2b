"""The approximate route: an HNSW graph (usearch), with its recall measured, not assumed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from gecko_kedro.errors import InputError
from gecko_kedro.retrieval.exclusions import Exclusions
from gecko_kedro.retrieval.index import Index, SearchResult
from gecko_kedro.retrieval.ranking import rank

GraphType = Literal["f32", "bf16", "f16", "i8"]


class ApproximateIndex:
    """A graph over the vectors of an exact ``Index``.

    Building it costs as much as searching the exact index with some millions of queries: it pays
    for a corpus of many millions that is asked again and again (docs/retrieval.md).
    dtype: how the graph stores vectors. connectivity, expansion_add: edges of a node, and
    candidates looked at while it is inserted.
    """

    def __init__(
        self,
        exact: Index,
        *,
        dtype: GraphType = "bf16",
        connectivity: int = 16,
        expansion_add: int = 128,
        threads: int = 0,
    ) -> None:
        from usearch.index import Index as Graph

        self.exact = exact
        self._graph: Any = Graph(
            ndim=exact.dimension, metric="ip", dtype=dtype,
            connectivity=connectivity, expansion_add=expansion_add,
        )  # fmt: skip
        self._graph.add(np.arange(len(exact)), exact.vectors, threads=threads)

    @classmethod
    def view(cls, exact: Index, path: Path) -> "ApproximateIndex":
        """The graph that ``save`` wrote, used from disk without loading it.

        Raises InputError where it does not belong to ``exact``.
        """
        from usearch.index import Index as Graph

        graph: Any = Graph.restore(str(path), view=True) if path.is_file() else None
        shape = None if graph is None else (len(graph), graph.ndim)
        if shape != (len(exact), exact.dimension):
            raise InputError(
                str(path),
                expected=f"a graph of {len(exact)} vectors of {exact.dimension} dimensions",
                got=shape or "no graph",
                fix="Build it from this index and save it again.",
            )
        made = cls.__new__(cls)
        made.exact, made._graph = exact, graph
        return made

    def save(self, path: Path) -> None:
        """Write the graph, without its vectors' exact form."""
        self._graph.save(str(path))

    def search(
        self,
        queries: Any,
        k: int,
        *,
        exclude: Exclusions | Sequence[Any] | None = None,
        expansion: int = 128,
        threads: int = 0,
    ) -> SearchResult:
        """Like ``Index.search``, but some of the best may be missing; scores and order are exact.

        expansion: candidates looked at in a query; more means a better recall and more time.
        """
        excluded = Exclusions.checked(exclude, len(queries))
        longest = int(np.diff(excluded.offsets).max(initial=0))
        wanted = min(k + longest, len(self.exact))
        if wanted == 0 or len(queries) == 0:
            return self.exact.search(queries, k, exclude=excluded)
        self._graph.expansion_search = max(expansion, wanted)
        matches = self._graph.search(
            np.ascontiguousarray(queries, dtype=np.float32), wanted, threads=threads
        )
        ids = np.asarray(matches.keys).astype(np.int64).reshape(len(queries), wanted)
        counts = np.asarray(matches.counts).reshape(len(queries), 1)
        ids[np.arange(wanted) >= counts] = -1
        for row in range(len(queries)):
            hidden = excluded.ids[excluded.offsets[row] : excluded.offsets[row + 1]]
            ids[row, np.isin(ids[row], hidden)] = -1
        return rank(self.exact.score_pairs(queries, ids), ids, k)

    def measure_recall(
        self, queries: Any, k: int, *, sample: int, seed: int, expansion: int = 128
    ) -> float:
        """Share of the exact top ``k`` that ``search`` finds, over ``sample`` of the queries.

        Tie-tolerant: a passage with the score of the exact k-th best counts as found.
        """
        rows = np.random.default_rng(seed).permutation(len(queries))[:sample]
        asked = np.asarray(queries)[np.sort(rows)]
        exact = self.exact.search(asked, k)
        found = self.search(asked, k, expansion=expansion)
        there = exact.ids >= 0
        kth = np.where(there, exact.scores, np.inf).min(axis=1, initial=np.inf, keepdims=True)
        hits = (found.scores >= kth) & (found.ids >= 0)
        return float(hits.sum() / max(1, there.sum()))
