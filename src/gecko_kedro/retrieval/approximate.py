"""The approximate route: an HNSW graph (usearch), with its recall measured, not assumed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from gecko_kedro.base.errors import InputError, Words
from gecko_kedro.retrieval.exclusions import Exclusions
from gecko_kedro.retrieval.index import Index
from gecko_kedro.retrieval.result import ReportProgress, SearchResult, cancellable, check_k, rank
from gecko_kedro.retrieval.vectors import block, rows_in_block, widen

_QUERIES_AT_ONCE = 1024
GraphType = Literal["f32", "bf16", "f16", "i8"]


class ApproximateIndex:
    """A graph over the vectors of an exact ``Index``; docs/retrieval.md says when it pays.

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
        size = rows_in_block(exact.dimension)
        for start in range(0, len(exact), size):
            rows = block(exact.vectors, start, start + size)
            self._graph.add(np.arange(start, start + len(rows)), rows, threads=threads)

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
                got=shape or Words("no graph"),
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
        threads: int | None = None,
        progress: ReportProgress | None = None,
        expansion: int = 128,
        sample: int = 32,
        seed: int = 0,
    ) -> SearchResult:
        """Like ``Index.search``, but some of the best may be missing; scores and order are exact.

        expansion: candidates looked at in a query; more means a better recall and more time.
        sample: how many of the queries, drawn with ``seed``, are searched exactly too, to measure
        the result's ``recall``: the share of the exact best ``k`` that was found, where a passage
        with the score of the k-th best counts. 0 measures nothing.
        Raises InputError as ``Index.search`` does.
        """
        where = "retrieval.ApproximateIndex.search"
        check_k(k, where)
        rows = self.exact.checked_queries(queries, where)
        excluded = Exclusions.checked(exclude, len(rows))
        longest = int(np.diff(excluded.offsets).max(initial=0))
        wanted = min(k + longest, len(self.exact))
        if wanted <= 0 or len(rows) == 0:
            return self.exact.search(queries, k, exclude=excluded)
        poll = cancellable(progress)
        ids = np.full((len(rows), wanted), -1, dtype=np.int64)
        self._graph.expansion_search = max(expansion, wanted)
        for start in range(0, len(rows), _QUERIES_AT_ONCE):
            part = block(rows, start, start + _QUERIES_AT_ONCE)
            matches = self._graph.search(part, wanted, threads=threads or 0)
            found = np.asarray(matches.keys).astype(np.int64).reshape(len(part), wanted)
            counts = np.asarray(matches.counts).reshape(len(part), 1)
            ids[start : start + len(part)] = np.where(np.arange(wanted) < counts, found, -1)
            if poll is not None:
                poll((start + len(part)) / len(rows))
        for row in range(len(rows)):
            ids[row, np.isin(ids[row], excluded.of(row))] = -1
        best = rank(self.exact.score_pairs(queries, ids), ids, k)
        if sample <= 0:
            return best
        chosen = np.sort(np.random.default_rng(seed).permutation(len(rows))[:sample])
        hidden = [excluded.of(row) for row in chosen]
        exact = self.exact.search(widen(rows[chosen]), k, exclude=hidden)
        there = exact.ids >= 0
        kth = np.where(there, exact.scores, np.inf).min(axis=1, initial=np.inf, keepdims=True)
        hits = (best.scores[chosen] >= kth) & (best.ids[chosen] >= 0)
        recall = float(hits.sum() / max(1, there.sum()))
        return SearchResult(best.scores, best.ids, recall)
