"""Ray against this process on the same work: what the engine costs, start-up excluded.

    python benchmarks/scale_ray.py --quick --out scale_ray.json   # 10^5 passages, each engine once
    python benchmarks/scale_ray.py --rounds 3 --out scale_ray.json

The work is that of ``mine`` and ``relabel`` on a seeded corpus, by their workers: embed the
passages (a transformer of one layer, 128 wide), search 20 of them for each of 2,000 queries, and
ask the lexical stand-in for the grade of some candidates. The local engine has two threads, Ray two
actors of one CPU each on a cluster of this machine. Both must give the same bits.

Start-up is the cluster, the processes, their imports and models. For embedding it ends when the
first fifth of the shards is there: what is compared is the time of the others. Searching and
labelling begin with one small task for each worker, which is not counted.

``ray_vs_local_1e5`` is local over Ray seconds (wall) of all stages, so larger is better; 1/1.3 is
wanted. ``ray_vs_local_embed_1e5`` and so on are of one stage. Labelling by the stand-in shows the
engine at its worst: an answer takes a tenth of a millisecond, less than it takes to send the call.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

_QUERIES, _K, _SHARD, _LABELLED = 2_000, 20, 5_000, 500
_CONF = Path(__file__).resolve().parents[1] / "conf" / "base"
_STAGES = ("embed", "search", "label")


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def embed(engine, folder: Path, encoder_params) -> float:
    """Seconds; the vectors are in ``vectors.npy`` after it."""
    from gecko_kedro import encoder
    from gecko_kedro.pipelines.mine.workers import Embedder

    render = encoder.render_passage
    embedder = partial(Embedder, str(folder / "encoder"), encoder_params, 32, render)
    passages = pl.scan_parquet(folder / "passages.parquet").select("passage_id", "title", "text")
    count = passages.select(pl.len()).collect().item()
    vectors = np.lib.format.open_memmap(
        folder / "vectors.npy", mode="w+", dtype=np.float32, shape=(count, 128)
    )

    arrived = []
    for shard in engine.map(embedder, passages, size=_SHARD, finished=(), role="encoder"):
        rows = shard.table["vector"].to_numpy()
        vectors[shard.index * _SHARD : shard.index * _SHARD + len(rows)] = rows
        arrived.append(time.perf_counter())
    vectors.flush()
    return arrived[-1] - arrived[len(arrived) // 5]


def search(engine, folder: Path) -> tuple[float, np.ndarray]:
    """Seconds, and the ids of what was found."""
    from gecko_kedro.retrieval import SlicedIndex

    stored = np.load(folder / "vectors.npy", mmap_mode="r")
    place = {"offset": stored.offset, "shape": stored.shape}
    mapped = np.memmap(folder / "vectors.npy", np.float32, "r", **place)
    queries = np.array(mapped[:: len(mapped) // _QUERIES][:_QUERIES])
    index = SlicedIndex(mapped, engine=engine, threads=None)
    index.search(queries[:1], _K)  # opens the slices
    found = []
    seconds = _timed(lambda: found.append(index.search(queries, _K)))
    return seconds, found[0].ids


def label(engine, folder: Path, teacher, ids: np.ndarray) -> tuple[float, np.ndarray]:
    """Seconds, and the log-likelihoods of the grades of the first queries' passages ``ids``."""
    from gecko_kedro.teacher import Prompt
    from gecko_kedro.teacher.build import placed_teacher

    texts = pl.read_parquet(folder / "passages.parquet", columns=["text"])["text"]
    asked = placed_teacher(teacher, texts, engine)
    prompts = [
        Prompt(texts[row], {"passage": texts[row], "title": "", "query": texts[n // _K][:60]})
        for n, row in enumerate(ids[:_LABELLED].ravel().tolist())
    ]
    grades = []
    _ = asked.identity  # of every worker
    labels = [" 0", " 1", " 2", " 3"]
    seconds = _timed(lambda: grades.append(asked.label_log_likelihood(prompts, labels)))
    return seconds, np.array([grade.log_likelihoods for grade in grades[0]])


def measure(engine, folder: Path, encoder_params, teacher) -> tuple[dict, np.ndarray, np.ndarray]:
    """Seconds of each stage, and what was found. A stage's workers end before the next one's."""
    seconds = {"embed": embed(engine, folder, encoder_params)}
    seconds["search"], ids = search(engine, folder)
    seconds["label"], grades = label(engine, folder, teacher, ids)
    return seconds, ids, grades


def settings(folder: Path, kind: str):
    """Engine, encoder and teacher as conf/base has them, at the benchmark's size."""
    import yaml

    from gecko_kedro.encoder.settings import LoadSettings
    from gecko_kedro.engine import EngineSettings
    from gecko_kedro.teacher import TeacherSettings

    engine, teacher = (
        yaml.safe_load((_CONF / f"parameters/{name}.yml").read_text("utf-8"))[name]
        for name in ("engine", "teacher")
    )
    engine["kind"] = kind
    engine["ray"]["local_cluster"] = {"cpus": 2, "gpus": 0, "object_store_mb": 200}
    for role in ("encoder", "search", "teacher"):
        engine["ray"][role] |= {"actors": 2, "cpus": 1}
    load = LoadSettings(
        reference=str(folder / "encoder"), device="cpu", dtype="float32", batch_size=128
    )
    return (
        EngineSettings.model_validate(engine),
        load,
        TeacherSettings.model_validate(teacher),
    )


@contextmanager
def opened(folder: Path, kind: str) -> Iterator[tuple]:
    """The engine with what it works with; a cluster ends with the block."""
    from gecko_kedro.engine import build_engine
    from gecko_kedro.engine.cluster import disconnect

    chosen, encoder, teacher = settings(folder, kind)
    try:
        yield build_engine(chosen), folder, encoder, teacher
    finally:
        disconnect()


def compare(size: int, rounds: int) -> dict[str, object]:
    """All seconds by engine, and the ratios."""
    from support.synthetic_corpus import save_tiny_encoder, write_passages

    taken: dict[str, list[dict]] = {"local": [], "ray": []}
    results = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_passages(folder / "passages.parquet", size)
        save_tiny_encoder(folder / "encoder")
        for number in range(rounds):
            for kind, measured in taken.items():
                with opened(folder, kind) as tools:
                    seconds, *results[kind] = measure(*tools)
                measured.append(seconds)
                print(f"round {number + 1}, {kind}: {json.dumps(seconds)}", flush=True)
    for one, other in zip(results["local"], results["ray"], strict=True):
        assert np.array_equal(one, other), "the engines disagree"
    size_name = f"1e{len(str(size)) - 1}"
    middle = {
        kind: {stage: statistics.median(one[stage] for one in rounds) for stage in _STAGES}
        for kind, rounds in taken.items()
    }
    ratio = sum(middle["local"].values()) / sum(middle["ray"].values())
    ratios = {f"ray_vs_local_{size_name}": round(ratio, 3)}
    for stage in _STAGES:
        ratio = middle["local"][stage] / middle["ray"][stage]
        ratios[f"ray_vs_local_{stage}_{size_name}"] = round(ratio, 3)
    return {
        "passages": size, "queries": _QUERIES, "labelled": _LABELLED * _K, "seconds": taken,
        "ratios": ratios,
    }  # fmt: skip


def main() -> None:
    """Parse, run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one round")
    parser.add_argument("--size", type=int, default=100_000, help="passages")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="write the numbers to this JSON file")
    options = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in a run of Kedro
    import torch
    from support.machine import processor

    torch.set_num_threads(2)
    result = compare(options.size, 1 if options.quick else options.rounds)
    result = {"machine": processor(), **result}
    print(json.dumps(result["ratios"], indent=1))
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
