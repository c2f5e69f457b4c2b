"""The searches that topk.py compares: each is a function from queries (q, d) to ids (q, k)."""

import importlib.util
import os
from collections.abc import Callable

import numpy as np
from support.machine import has_bfloat16

CHUNK = 16_384  # passages whose scores a peer holds at a time
Search = Callable[[np.ndarray], np.ndarray]


def build_peers(passages: np.ndarray, k: int, threads: int, *, with_pq: bool) -> dict[str, Search]:
    """Every peer that is installed.

    ``torch_bf16_only`` is a bare product: it finds nothing. torch's bfloat16 is left out where the
    processor lacks it: emulated it takes ten times as long, which would say nothing.
    """
    peers = _torch(passages, k, threads)
    peers["numpy_fp32"] = _numpy(passages, k)
    peers["semantic_search"] = _semantic_search(passages, k)
    if importlib.util.find_spec("faiss"):
        peers |= _faiss(passages, k, threads, with_pq=with_pq)
    if importlib.util.find_spec("numkong"):
        peers |= _numkong(passages, k)
    return peers


def build_ours(passages: np.ndarray, k: int, threads: int) -> dict[str, Search]:
    """The engine: warm, cold (packing counted), on one thread, and forced to its other levels."""
    from gecko_kedro.retrieval import Index, simd_level
    from gecko_kedro.retrieval.levels import available_levels

    index = Index(passages)

    def warm(queries):
        return index.search(queries, k, threads=threads).ids

    def cold(queries):
        return Index(passages).search(queries, k, threads=threads).ids

    def forced(level: str) -> Search:
        def search(queries):
            os.environ["GECKO_SIMD"] = level
            try:
                return warm(queries)
            finally:
                os.environ.pop("GECKO_SIMD")

        return search

    ours = {"gecko": warm, "gecko_cold": cold}
    if threads > 1:
        ours["gecko_1_thread"] = lambda queries: index.search(queries, k, threads=1).ids
    others = set(available_levels()) - {simd_level(), "scalar", "numpy"}
    return ours | {f"gecko_{level}": forced(level) for level in sorted(others)}


def _numpy(passages: np.ndarray, k: int) -> Search:
    """Scores in chunks of passages, partitioned, merged."""

    def search(queries):
        scores, ids = [], []
        for start in range(0, len(passages), CHUNK):
            part = queries @ passages[start : start + CHUNK].T
            best = np.argpartition(part, -k, axis=1)[:, -k:]
            scores.append(np.take_along_axis(part, best, axis=1))
            ids.append(best + start)
        scores, ids = np.concatenate(scores, axis=1), np.concatenate(ids, axis=1)
        return np.take_along_axis(ids, np.argsort(-scores, axis=1)[:, :k], axis=1)

    return search


def _merged(parts, k: int) -> np.ndarray:
    """The best of each chunk's torch.topk."""
    import torch

    scores = torch.cat([part.values for part in parts], dim=1)
    ids = torch.cat([part.indices + i * CHUNK for i, part in enumerate(parts)], dim=1)
    return torch.gather(ids, 1, torch.topk(scores, k, dim=1).indices).numpy()


def _torch(passages: np.ndarray, k: int, threads: int) -> dict[str, Search]:
    import torch

    torch.set_num_threads(threads)
    fp32 = torch.from_numpy(passages)
    bf16 = fp32.bfloat16()
    starts = range(0, len(passages), CHUNK)

    def searcher(matrix):
        def search(queries):
            rows = torch.from_numpy(queries).to(matrix.dtype)
            products = (rows @ matrix[start : start + CHUNK].T for start in starts)
            return _merged([torch.topk(product, k, dim=1) for product in products], k)

        return search

    def only_multiply(queries):
        rows = torch.from_numpy(queries).bfloat16()
        out = torch.empty((len(rows), CHUNK), dtype=torch.bfloat16)
        for start in starts:
            part = bf16[start : start + CHUNK]
            if len(part) == CHUNK:
                torch.mm(rows, part.T, out=out)
            else:
                torch.mm(rows, part.T)
        return np.zeros((len(queries), k), dtype=np.int64)

    if not has_bfloat16():
        return {"torch_fp32": searcher(fp32)}
    return {
        "torch_fp32": searcher(fp32),
        "torch_bf16": searcher(bf16),
        "torch_bf16_only": only_multiply,
    }


def _semantic_search(passages: np.ndarray, k: int) -> Search:
    import torch
    from sentence_transformers.util import dot_score, semantic_search

    corpus = torch.from_numpy(passages)

    def search(queries):
        hits = semantic_search(torch.from_numpy(queries), corpus, top_k=k, score_function=dot_score)
        return np.array([[hit["corpus_id"] for hit in row] for row in hits])

    return search


def _faiss(passages: np.ndarray, k: int, threads: int, *, with_pq: bool) -> dict[str, Search]:
    import faiss

    faiss.omp_set_num_threads(threads)
    flat = faiss.IndexFlatIP(passages.shape[1])
    flat.add(passages)
    peers = {"faiss_flat": lambda queries: flat.search(queries, k)[1]}
    if with_pq:  # some minutes of training
        refined = faiss.index_factory(
            passages.shape[1], f"PQ{passages.shape[1] // 2}x4fs,RFlat", faiss.METRIC_INNER_PRODUCT
        )
        refined.train(passages[:100_000])
        refined.add(passages)
        refined.k_factor = 10
        peers["faiss_pq_refined"] = lambda queries: refined.search(queries, k)[1]
    return peers


def _numkong(passages: np.ndarray, k: int) -> dict[str, Search]:
    import numkong
    import torch

    largest = np.quantile(np.abs(passages[::100]), 0.9999)  # one scale for all, few clipped

    def quantise(rows):
        return np.clip(np.rint(rows * (127 / largest)), -127, 127).astype(np.int8)

    packed = [
        numkong.dots_pack(quantise(passages[start : start + CHUNK]), dtype="int8")
        for start in range(0, len(passages), CHUNK)
    ]

    def search(queries):
        rows = quantise(queries)
        products = (np.asarray(numkong.dots_packed(rows, part)) for part in packed)
        return _merged([torch.topk(torch.from_numpy(one), k, dim=1) for one in products], k)

    return {"numkong_int8": search}
