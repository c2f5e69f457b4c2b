"""Exact top-k search side by side with its peers, in one process with the same threads.

    python benchmarks/topk.py --quick --out topk.json     # 100,000 passages, 1,024 queries
    python benchmarks/topk.py --case M --out m.json       # 1,000,000 passages, 10,000 queries
    python benchmarks/topk.py --case MMAP10M              # a file of 7.7 GB, searched in place

Every round each peer searches once, in an order that rotates from round to round. What is compared
is CPU seconds of the process (user and system), which stay the same on a loaded machine; a ratio is
the peer's median over ours, so larger is better. Wall time is told too, and worth something only
where CPU seconds are at least 0.9 times threads times wall seconds (``quiet``). Recall is
tie-tolerant, against float64. Peers that are not installed are left out. Beside the JSON file comes
a plot (HTML).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

# A fresh matrix of scores must not cost the peers a page fault for every 4 kB of it.
_ALLOCATOR = {
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "17179869184",
}
CASES = {  # passages, queries, dimension, k
    "quick": (100_000, 1_024, 384, 20),
    "S": (100_000, 10_000, 384, 20),
    "S100": (100_000, 10_000, 384, 100),
    "M": (1_000_000, 10_000, 384, 20),
    "M2048": (1_000_000, 2_048, 384, 20),
    "L": (1_000_000, 1_024, 768, 100),
    "B1": (1_000_000, 1, 384, 20),
    "B4": (1_000_000, 4, 384, 20),
    "B16": (1_000_000, 16, 384, 20),
    "B32": (1_000_000, 32, 384, 20),
    "MMAP10M": (10_000_000, 8, 384, 20),
}
_CHECKED_QUERIES = 1000
_BARE = "torch_bf16_only"
_MEMORY_ONLY = "--memory-only"


@dataclass
class Timing:
    """Seconds of each round and the ids (q, k) of the last one."""

    cpu: list[float]
    wall: list[float]
    ids: object = None


def measure(searches, queries, rounds: int) -> dict[str, Timing]:
    """Warm each up with 8 queries (the engine packs at the fourth call), then time each round."""
    timings = {name: Timing([], []) for name in searches}
    for search in searches.values():
        for _ in range(4):
            search(queries[:8])
    names = list(searches)
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            cpu, wall = time.process_time(), time.perf_counter()
            timings[name].ids = searches[name](queries)
            timings[name].cpu.append(time.process_time() - cpu)
            timings[name].wall.append(time.perf_counter() - wall)
    return timings


def run(case: str, *, rounds: int, threads: int, with_pq: bool) -> dict[str, object]:
    """All numbers of one case, with the ratios in a flat object."""
    from support.machine import processor
    from support.synthetic_vectors import make_vectors
    from support.topk_checks import Truth, check
    from support.topk_peers import build_ours, build_peers

    from gecko_kedro.retrieval import Index, simd_level

    n, q, d, k = CASES[case]
    vectors = make_vectors(n, q, d)
    ours = build_ours(vectors.passages, k, threads)
    searches = ours | build_peers(vectors.passages, k, threads, with_pq=with_pq)
    timings = measure(searches, vectors.queries, rounds)
    truth = Truth(vectors.passages, vectors.queries, k, sample=_CHECKED_QUERIES)
    entries = {
        name: {
            "cpu_median": statistics.median(timing.cpu), "cpu_min": min(timing.cpu),
            "wall_min": min(timing.wall),
            "gflop_per_cpu_second": 2e-9 * n * q * d / statistics.median(timing.cpu),
            "quiet": sum(timing.cpu) >= 0.9 * threads * sum(timing.wall),
            "recall": None if name == _BARE else truth.recall(timing.ids),
        }
        for name, timing in timings.items()
    }  # fmt: skip
    index = Index(vectors.passages)
    promises = check(index, vectors.queries, k, truth)
    ratios = compare(case, entries, threads)
    memory = memory_of(case, threads)
    allowed = q * (2 * d + 8 * (3 * k + 16)) + 64e6
    ratios["memory_allowed_vs_used"] = allowed / memory
    result: dict[str, object] = {
        "case": case, "passages": n, "queries": q, "dimension": d, "k": k,
        "threads": threads, "rounds": rounds, "level": simd_level(), "machine": processor(),
        "searches": entries, "promises": promises,
        "extra_memory_mb": memory / 1e6, "extra_memory_allowed_mb": allowed / 1e6,
    }  # fmt: skip
    if case.startswith("B"):
        result["bandwidth"] = bandwidth_share(vectors.passages, q, entries["gecko"], threads)
        ratios["share_of_read_bandwidth"] = result["bandwidth"]["share"]
    return result | {"ratios": {name: round(ratio, 3) for name, ratio in ratios.items()}}


def compare(case: str, entries, threads: int) -> dict[str, float]:
    """The ratios, all better when larger: peers' CPU seconds over ours."""
    cpu = {name: entry["cpu_median"] for name, entry in entries.items()}
    peers = [name for name in cpu if not name.startswith("gecko")]
    ratios = {f"{case}_vs_{name}": cpu[name] / cpu["gecko"] for name in peers}
    ratios |= {f"{case}_cold_vs_{name}": cpu[name] / cpu["gecko_cold"] for name in peers}
    levels = [name for name in cpu if name.startswith("gecko_") and name[6:] not in _WAYS]
    for name in levels:
        ratios[f"{name[6:]}_vs_torch_fp32"] = cpu["torch_fp32"] / cpu[name]
    if "gecko_1_thread" in cpu and threads == 2:
        walls = entries["gecko_1_thread"]["wall_min"], entries["gecko"]["wall_min"]
        ratios["threads2_vs_1"] = walls[0] / walls[1]
        ratios["threads2_vs_1_by_cpu_seconds"] = 2 * cpu["gecko_1_thread"] / cpu["gecko"]
    return ratios


_WAYS = ("cold", "1_thread")


def bandwidth_share(passages, n_queries: int, entry, threads: int) -> dict[str, float]:
    """How much of the memory's rate a search with few queries reaches, by the best wall time."""
    from support.machine import read_bandwidth

    from gecko_kedro.retrieval import simd_level
    from gecko_kedro.retrieval.levels import packed_type, packing_pays

    packed = packed_type(simd_level()) if packing_pays(simd_level(), n_queries) else None
    width = {"int8": 1, "bfloat16": 2, None: 4}[packed]
    read = passages.size * width / entry["wall_min"] / 1e9
    possible = read_bandwidth(threads)
    return {"gb_per_second": read, "possible": possible, "share": read / possible}


def memory_of(case: str, threads: int) -> int:
    """Extra bytes of one search, in a new process: here memory of earlier calls is used again."""
    environment = {name: value for name, value in os.environ.items() if name not in _ALLOCATOR}
    command = [sys.executable, __file__, "--case", case, "--threads", str(threads), _MEMORY_ONLY]
    told = subprocess.run(command, env=environment, check=True, capture_output=True).stdout
    return max(4096, int(told))


def print_memory(case: str, threads: int) -> None:
    """What ``memory_of`` asks for."""
    from support.machine import extra_memory
    from support.synthetic_vectors import make_vectors

    from gecko_kedro.retrieval import Index

    n, q, d, k = CASES[case]
    vectors = make_vectors(n, q, d)
    index = Index(vectors.passages)
    for _ in range(4):  # packs
        index.search(vectors.queries[:8], k, threads=threads)
    print(extra_memory(lambda: index.search(vectors.queries, k, threads=threads)))


def show(result) -> None:
    """The table, on the terminal."""
    for name, entry in result["searches"].items():
        recall = "-" if entry["recall"] is None else f"{entry['recall']:.5f}"
        print(
            f"{result['case']:6} {name:18} cpu {entry['cpu_median']:8.3f} s"
            f"  wall {entry['wall_min']:8.3f} s{'' if entry['quiet'] else ' (loaded)':9}"
            f"  {entry['gflop_per_cpu_second']:7.1f} GFLOP/cpu-s  recall {recall}"
        )


def write_plot(result, path: Path) -> None:
    """Bars of GFLOP per CPU second, the exact searches in one colour, the inexact in another."""
    import plotly.graph_objects as go

    entries = sorted(result["searches"].items(), key=lambda pair: pair[1]["gflop_per_cpu_second"])
    colours = ["#2a9d8f" if entry["recall"] == 1 else "#b8b8b8" for _, entry in entries]
    figure = go.Figure(
        go.Bar(
            x=[entry["gflop_per_cpu_second"] for _, entry in entries],
            y=[name for name, _ in entries],
            text=["" if e["recall"] is None else f"recall {e['recall']:.4f}" for _, e in entries],
            marker_color=colours, orientation="h",
        )
    )  # fmt: skip
    figure.update_layout(
        title=f"{result['case']}: {result['passages']:,} passages, {result['queries']:,} queries, "
        f"d {result['dimension']}, k {result['k']}; {result['machine']}, {result['level']}",
        xaxis_title="GFLOP per CPU second (coloured: exact)",
        template="plotly_white",
    )
    figure.write_html(path, include_plotlyjs=True)


def main() -> None:
    """Parse the command line, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the small case, 3 rounds")
    parser.add_argument("--case", choices=list(CASES), default="S")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--with-pq", action="store_true", help="faiss PQ too: trains for minutes")
    parser.add_argument("--folder", type=Path, help="where MMAP10M makes its file (7.7 GB)")
    parser.add_argument("--out", type=Path, help="write the numbers to this JSON file")
    parser.add_argument(_MEMORY_ONLY, action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory_only:
        print_memory(options.case, options.threads)
        return
    wanted = _ALLOCATOR | {"OMP_NUM_THREADS": str(options.threads)}
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | wanted)
    case, rounds = ("quick", 3) if options.quick else (options.case, options.rounds)
    if case == "MMAP10M":
        from support.topk_mapped import run_mapped

        result = run_mapped(*CASES[case], threads=options.threads, folder=options.folder)
        print(json.dumps(result, indent=1))
    else:
        result = run(case, rounds=rounds, threads=options.threads, with_pq=options.with_pq)
        show(result)
        print(json.dumps(result["ratios"], indent=1))
        if options.out:
            write_plot(result, options.out.with_suffix(".html"))
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
