"""Exact top-k search side by side with its peers, in one process with the same threads.

    python benchmarks/topk.py --quick --out topk.json     # 100,000 passages, 2,048 queries
    python benchmarks/topk.py --case M                    # 1,000,000 passages, 10,000 queries

Every round each peer searches once, in an order that rotates from round to round. What is compared
is CPU seconds of the process (user and system), which stay the same on a loaded machine; a ratio is
the peer's median over ours, so larger is better. Recall beside it is tie-tolerant, against float64.
Peers that are not installed are left out.
"""

import argparse
import importlib.util
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# A fresh matrix of scores must not cost the peers a page fault for every 4 kB of it.
_ALLOCATOR = {
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "17179869184",
}
CASES = {  # passages, queries, dimension, k
    "quick": (100_000, 2_048, 384, 20),
    "S": (100_000, 10_000, 384, 20),
    "S100": (100_000, 10_000, 384, 100),
    "M": (1_000_000, 10_000, 384, 20),
    "M2048": (1_000_000, 2_048, 384, 20),
    "L": (1_000_000, 1_024, 768, 100),
    "B1": (1_000_000, 1, 384, 20),
    "B4": (1_000_000, 4, 384, 20),
    "B16": (1_000_000, 16, 384, 20),
    "B32": (1_000_000, 32, 384, 20),
}
CHUNK = 16_384


@dataclass
class Timing:
    """Seconds of each round and the ids (q, k) of the last one."""

    cpu: list[float]
    wall: list[float]
    ids: object = None


def build_peers(vectors, k: int, threads: int) -> dict[str, Callable[[object], object]]:
    """Each peer is a function from queries (q, d) to ids (q, k)."""
    from gecko_kedro.retrieval import Index

    index = Index(vectors.passages)

    def ours(level: str | None) -> Callable[[object], object]:
        def search(queries):
            if level:
                os.environ["GECKO_SIMD"] = level
            try:
                return index.search(queries, k, threads=threads).ids
            finally:
                os.environ.pop("GECKO_SIMD", None)

        return search

    peers = {"gecko": ours(None), "gecko_cold": lambda q: _cold(vectors.passages, q, k, threads)}
    peers |= {f"gecko_{level}": ours(level) for level in ("avx512", "avx2") if _has(level)}
    peers["numpy_fp32"] = _numpy(vectors.passages, k)
    peers |= _torch(vectors.passages, k, threads)
    if importlib.util.find_spec("faiss"):
        peers |= _faiss(vectors.passages, k, threads)
    if importlib.util.find_spec("numkong"):
        peers |= _numkong(vectors.passages, k)
    return peers


def _has(level: str) -> bool:
    from gecko_kedro.retrieval.levels import available_levels

    return level in available_levels()


def _cold(passages, queries, k: int, threads: int):
    from gecko_kedro.retrieval import Index

    return Index(passages).search(queries, k, threads=threads).ids


def _numpy(passages, k: int):
    import numpy as np

    def search(queries):
        return _chunked(len(passages), k, lambda a, b: queries @ passages[a:b].T, np)

    return search


def _chunked(n: int, k: int, product, np):
    """Scores in chunks of passages, partitioned, merged."""
    scores, ids = [], []
    for start in range(0, n, CHUNK):
        part = product(start, min(n, start + CHUNK))
        best = np.argpartition(part, -k, axis=1)[:, -k:]
        scores.append(np.take_along_axis(part, best, axis=1))
        ids.append(best + start)
    scores, ids = np.concatenate(scores, axis=1), np.concatenate(ids, axis=1)
    return np.take_along_axis(ids, np.argsort(-scores, axis=1)[:, :k], axis=1)


def _torch(passages, k: int, threads: int):
    import torch

    torch.set_num_threads(threads)
    fp32 = torch.from_numpy(passages)
    bf16 = fp32.bfloat16()

    def searcher(matrix):
        def search(queries):
            rows = torch.from_numpy(queries).to(matrix.dtype)
            parts = [
                torch.topk(rows @ matrix[start : start + CHUNK].T, k, dim=1)
                for start in range(0, len(matrix), CHUNK)
            ]
            scores = torch.cat([part.values for part in parts], dim=1)
            ids = torch.cat([part.indices + i * CHUNK for i, part in enumerate(parts)], dim=1)
            return torch.gather(ids, 1, torch.topk(scores, k, dim=1).indices).numpy()

        return search

    return {"torch_fp32": searcher(fp32), "torch_bf16": searcher(bf16)}


def _faiss(passages, k: int, threads: int):
    import faiss

    faiss.omp_set_num_threads(threads)
    flat = faiss.IndexFlatIP(passages.shape[1])
    flat.add(passages)
    return {"faiss_flat_fp32": lambda queries: flat.search(queries, k)[1]}


def _numkong(passages, k: int):
    import numkong
    import numpy as np
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
        parts = [
            torch.topk(torch.from_numpy(np.asarray(numkong.dots_packed(rows, part))), k, dim=1)
            for part in packed
        ]
        scores = torch.cat([part.values for part in parts], dim=1)
        ids = torch.cat([part.indices + i * CHUNK for i, part in enumerate(parts)], dim=1)
        return torch.gather(ids, 1, torch.topk(scores, k, dim=1).indices).numpy()

    return {"numkong_int8": search}


def measure(peers, queries, rounds: int) -> dict[str, Timing]:
    """Warm each peer up with 8 queries (our index packs at the fourth), then time it each round."""
    timings = {name: Timing([], []) for name in peers}
    for search in peers.values():
        for _ in range(4):
            search(queries[:8])
    names = list(peers)
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            cpu, wall = time.process_time(), time.perf_counter()
            timings[name].ids = peers[name](queries)
            timings[name].cpu.append(time.process_time() - cpu)
            timings[name].wall.append(time.perf_counter() - wall)
    return timings


class Truth:
    """Recall against float64 brute force, on the first ``sample`` queries."""

    def __init__(self, vectors, k: int, sample: int = 500) -> None:
        import numpy as np

        self.passages, self.k = vectors.passages, k
        self.queries = vectors.queries[:sample].astype(np.float64)
        best = np.empty((len(self.queries), 0))
        for start in range(0, len(self.passages), CHUNK):
            scores = self.queries @ self.passages[start : start + CHUNK].astype(np.float64).T
            best = np.partition(np.hstack([best, scores]), -k, axis=1)[:, -k:]
        self.kth_best = best.min(axis=1, keepdims=True)

    def recall(self, ids) -> float:
        """Share of the ``ids`` (q, k) whose score reaches the true k-th best, less 1e-7."""
        import numpy as np

        found = self.passages[np.asarray(ids)[: len(self.queries)]].astype(np.float64)
        scores = np.einsum("qd,qkd->qk", self.queries, found)
        return float((scores >= self.kth_best - 1e-7).mean())


def run(case: str, *, rounds: int, threads: int) -> dict[str, object]:
    """All numbers of one case, with the ratios in a flat object."""
    from support.synthetic_vectors import make_vectors

    from gecko_kedro.retrieval import simd_level

    n, q, d, k = CASES[case]
    vectors = make_vectors(n, q, d)
    timings = measure(build_peers(vectors, k, threads), vectors.queries, rounds)
    cpu = {name: statistics.median(timing.cpu) for name, timing in timings.items()}
    truth = Truth(vectors, k)
    recall = {name: truth.recall(timing.ids) for name, timing in timings.items()}
    operations = 2e-9 * n * q * d
    for name, timing in timings.items():
        print(
            f"{case:6} {name:16} cpu {cpu[name]:8.3f} s  wall {min(timing.wall):8.3f} s"
            f"  {operations / cpu[name]:7.0f} GFLOP/cpu-s"
            f"  recall {recall[name]:.5f}",
            flush=True,
        )
    ratios = {f"topk_vs_{name}": cpu[name] / cpu["gecko"] for name in cpu if "gecko" not in name}
    ratios |= {
        f"topk_cold_vs_{name}": cpu[name] / cpu["gecko_cold"]
        for name in ("faiss_flat_fp32",)
        if name in cpu
    }
    ratios |= {
        f"topk_{level}_vs_torch_fp32": cpu["torch_fp32"] / cpu[f"gecko_{level}"]
        for level in ("avx512", "avx2")
        if f"gecko_{level}" in cpu
    }
    return {
        "case": case,
        "passages": n, "queries": q, "dimension": d, "k": k,
        "threads": threads, "rounds": rounds, "level": simd_level(),
        "machine": platform.processor() or platform.machine(),
        "cpu_seconds": cpu,
        "gflop_per_cpu_second": {name: operations / seconds for name, seconds in cpu.items()},
        "recall": recall,
        "ratios": {name: round(ratio, 3) for name, ratio in ratios.items()},
    }  # fmt: skip


def main() -> None:
    """Parse the command line, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the small case, 3 rounds")
    parser.add_argument("--case", choices=list(CASES), default="S")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="write the numbers to this JSON file")
    options = parser.parse_args()
    wanted = _ALLOCATOR | {"OMP_NUM_THREADS": str(options.threads)}
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | wanted)
    case, rounds = ("quick", 3) if options.quick else (options.case, options.rounds)
    result = run(case, rounds=rounds, threads=options.threads)
    print(json.dumps(result["ratios"], indent=1))
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
