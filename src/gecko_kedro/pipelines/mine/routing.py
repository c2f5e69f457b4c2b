"""Which route searches the candidates: exactly, or by a graph whose recall is measured first."""

import logging
from pathlib import Path
from typing import Any

import numpy as np

from gecko_kedro import retrieval
from gecko_kedro.base.errors import InputError
from gecko_kedro.base.files import atomic_path
from gecko_kedro.retrieval.vector_table import VectorTable

logger = logging.getLogger(__name__)
_GRAPH = "passages.usearch"


def pick_route(
    queries: VectorTable,
    passages: VectorTable,
    graphs: Path,
    n_candidates: int,
    settings: retrieval.RouteSettings = retrieval.RouteSettings(),
) -> dict[str, Any]:
    """``route`` (exact or approximate), ``pairs`` (queries x passages) and ``recall``.

    For the approximate route the graph is built in the folder ``graphs``. Its recall is the share
    of the exact best ``n_candidates`` that it finds for ``recall_queries`` queries, drawn with
    ``seed``; less than ``min_recall`` raises InputError.
    """
    pairs = len(queries) * len(passages)
    (graphs / _GRAPH).unlink(missing_ok=True)  # of other vectors
    if pairs <= settings.exact_max_pairs:
        return {"route": "exact", "pairs": float(pairs), "recall": 1.0}
    graph = open_graph(passages.index(), graphs)
    seed = settings.seed
    chosen = np.random.default_rng(seed).permutation(len(queries))[: settings.recall_queries]
    sample = np.concatenate([queries.rows(row, row + 1) for row in np.sort(chosen)])
    found = graph.search(sample, n_candidates, sample=len(sample), seed=seed)
    assert found.recall is not None
    if found.recall < settings.min_recall:
        raise InputError(
            f"mine.route.min_recall, recall@{n_candidates} on {len(sample)} queries",
            expected=f"at least {settings.min_recall} of what the exact search finds",
            got=round(found.recall, 4),
            fix=f"Search exactly with mine.route.exact_max_pairs={pairs:.3g}, or lower "
            "mine.route.min_recall.",
        )
    return {"route": "approximate", "pairs": float(pairs), "recall": found.recall}


def open_graph(exact: retrieval.Index, folder: Path) -> retrieval.ApproximateIndex:
    """The graph of ``exact``, from the disk where it is there, otherwise built and written."""
    file = folder / _GRAPH
    if not file.is_file():
        logger.info("building the graph of %d passages", len(exact))
        with atomic_path(file) as temporary:
            retrieval.ApproximateIndex(exact).save(temporary)
    return retrieval.ApproximateIndex.view(exact, file)
