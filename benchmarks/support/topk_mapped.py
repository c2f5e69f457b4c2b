"""The trial of a corpus that does not fit: a memory-mapped file of float16, scanned in place."""

import tempfile
import time
from pathlib import Path

import numpy as np
from support.machine import AnonymousPeak
from support.synthetic_vectors import write_vectors
from support.topk_checks import Truth

LIMIT = 3e9  # bytes of memory beyond the page cache


def run_mapped(n: int, q: int, d: int, k: int, *, threads: int, folder: Path | None) -> dict:
    """Make the file, open it, search it, check every query; the file is removed afterwards."""
    from gecko_kedro.retrieval import Index

    with tempfile.TemporaryDirectory(dir=folder) as name:
        path = Path(name) / "passages.float16"
        queries = write_vectors(path, n, q, d)
        passages = np.memmap(path, dtype=np.float16, mode="r", shape=(n, d))
        with AnonymousPeak() as peak:
            opened = _timed(lambda: Index(passages))
            index = opened["result"]
            searched = _timed(lambda: index.search(queries, k, threads=threads))
        found = searched["result"]
        truth = Truth(passages, queries, k, sample=len(queries))
        error = float(np.abs(found.scores - truth.scores(found.ids)).max())
        recall = truth.recall(found.ids)
    if recall != 1.0 or error > 1e-6 or peak.bytes > LIMIT:
        raise SystemExit(f"recall {recall}, score error {error}, {peak.bytes / 1e9:.2f} GB")
    return {
        "file_gb": n * d * 2 / 1e9,
        "peak_gb_beyond_page_cache": peak.bytes / 1e9,
        "open": {key: opened[key] for key in ("cpu", "wall")},
        "search": {key: searched[key] for key in ("cpu", "wall")},
        "recall": recall, "largest_score_error": error,
        "ratios": {"MMAP10M_memory_allowed_vs_used": round(LIMIT / peak.bytes, 3)},
    }  # fmt: skip


def _timed(call) -> dict:
    cpu, wall = time.process_time(), time.perf_counter()
    result = call()
    return {
        "cpu": time.process_time() - cpu,
        "wall": time.perf_counter() - wall,
        "result": result,
    }
