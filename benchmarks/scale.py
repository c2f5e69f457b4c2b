"""Embedding and mining of ten thousand to a million passages: time and memory of each node.

    python benchmarks/scale.py --quick --out scale.json   # 10^4 and 10^5 passages
    python benchmarks/scale.py --out scale.json           # and 10^6
    python benchmarks/scale.py --size 1000000 --folder /big/disk --keep

Each size is one ``kedro run --pipelines mine`` in a process of its own, by the project's nodes and
catalog, on passages of a seeded generator, with 2,000 queries and a transformer of one layer, 128
wide, that the benchmark makes. Memory is watched from outside, 20 times a second (4 times for what
is mapped): ``anonymous_mb`` is the process's own, ``mapped_mb`` what is resident of the
memory-mapped vectors, which the system takes back when it needs it, and ``above_mapped_mb`` all
that is resident besides, the code of the libraries included.

``rss_budget_*`` is 2 GB over the largest ``above_mapped_mb``, so above 1 the budget holds.
``flat_memory_*`` is the same number of the smallest corpus over that of a larger one: 1 means that
memory does not grow. ``linear_embedding_*`` and ``linear_search_*`` are the CPU seconds that the
smallest corpus takes for a passage over those of a larger one.
"""

import argparse
import json
import shutil
import tempfile
from pathlib import Path

SIZES = (10_000, 100_000, 1_000_000)
_QUERIES = 2_000
_BUDGET = 2e9  # bytes
_PROJECT = Path(__file__).resolve().parents[1]
_EMBED, _SEARCH = "embed_passages", "search_candidates"
_PARAMETERS = """
encoder:
  load: {{reference: {encoder}, device: cpu, dtype: float32, batch_size: 128, max_seq_length: 64}}
mine:
  seed_retriever: given
  max_seq_length: 32
  embed_shard_size: 5000
  search_shard_size: 500
  vectors_dtype: {dtype}
  threads: {threads}
"""
_NO_TRACKING = "{enabled: false, tracking_uri: none, experiment: none}"


def prepare(root: Path, size: int, *, dtype: str, threads: int) -> None:
    """A project at ``root`` with this project's configuration, and what mining begins with."""
    from support.synthetic_corpus import save_tiny_encoder, write_passages, write_queries

    shutil.copytree(_PROJECT / "conf", root / "conf")
    shutil.copy(_PROJECT / "pyproject.toml", root)
    (root / "src").mkdir()
    environment = root / "conf" / "scale"
    environment.mkdir()
    parameters = _PARAMETERS.format(encoder=root / "encoder", dtype=dtype, threads=threads)
    (environment / "parameters.yml").write_text(parameters, "utf-8")
    (environment / "mlflow.yml").write_text(_NO_TRACKING, "utf-8")
    save_tiny_encoder(root / "encoder")
    layers = root / "data/02_intermediate", root / "data/03_primary"
    for layer in layers:
        layer.mkdir(parents=True)
    write_passages(layers[0] / "passages.parquet", size)
    write_queries(layers[1] / "queries.parquet", layers[0] / "passages.parquet", _QUERIES)


def run(size: int, folder: Path | None, *, dtype: str, threads: int, keep: bool) -> dict:
    """All numbers of one size."""
    from support.watched_run import watch_run

    root = Path(tempfile.mkdtemp(prefix=f"scale-{size}-", dir=folder))
    try:
        prepare(root, size, dtype=dtype, threads=threads)
        stages = watch_run(root, ["--env", "scale", "--pipelines", "mine"], threads=threads)
        made = root / "data/04_feature"
        mapped = (made / f"passage_vector_shards/vectors.{dtype}").stat().st_size
        metrics = json.loads((root / "data/08_reporting/mine_metrics.json").read_text("utf-8"))
    finally:
        if not keep:
            shutil.rmtree(root)
    assert metrics["queries"] == _QUERIES
    return {
        "passages": size, "queries": _QUERIES, "vectors_mb": mapped / 1e6,
        "above_mapped_mb": max(stage.above for stage in stages.values()) / 1e6,
        "anonymous_mb": max(stage.anonymous for stage in stages.values()) / 1e6,
        "resident_mb": max(stage.resident for stage in stages.values()) / 1e6,
        "wall": sum(stage.wall for stage in stages.values()),
        "stages": {
            name: {
                "wall": round(stage.wall, 2), "cpu": round(stage.cpu, 2),
                "resident_mb": stage.resident / 1e6, "anonymous_mb": stage.anonymous / 1e6,
                "mapped_mb": stage.mapped / 1e6, "above_mapped_mb": stage.above / 1e6,
            }
            for name, stage in stages.items()
        },
    }  # fmt: skip


def compare(results: list[dict]) -> dict[str, float]:
    """The ratios, all better when larger."""
    ratios = {}
    for result in results:
        size = f"1e{len(str(result['passages'])) - 1}"
        ratios[f"rss_budget_{size}"] = _BUDGET / (result["above_mapped_mb"] * 1e6)
        if result is results[0]:
            continue
        ratios[f"flat_memory_{size}"] = results[0]["above_mapped_mb"] / result["above_mapped_mb"]
        for name, node in (("embedding", _EMBED), ("search", _SEARCH)):
            each = [one["stages"][node]["cpu"] / one["passages"] for one in (results[0], result)]
            ratios[f"linear_{name}_{size}"] = each[0] / each[1]
    return {name: round(ratio, 3) for name, ratio in ratios.items()}


def show(result: dict) -> None:
    """The table of one size, on the terminal."""
    print(f"{result['passages']:,} passages, {result['vectors_mb']:.0f} MB of vectors")
    for name, stage in result["stages"].items():
        print(
            f"  {name:28} wall {stage['wall']:8.1f} s  cpu {stage['cpu']:8.1f} s"
            f"  anonymous {stage['anonymous_mb']:6.0f} MB  mapped {stage['mapped_mb']:6.0f} MB"
            f"  above {stage['above_mapped_mb']:6.0f} MB",
            flush=True,
        )


def write_plot(results: list[dict], path: Path) -> None:
    """Memory and seconds against the number of passages, both on logarithmic axes."""
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    figure = make_subplots(
        rows=1, cols=2, subplot_titles=["peak memory, MB", "wall time of the nodes, s"]
    )
    sizes = [result["passages"] for result in results]
    for name in ("vectors_mb", "above_mapped_mb", "anonymous_mb"):
        y = [result[name] for result in results]
        figure.add_scatter(x=sizes, y=y, name=name.removesuffix("_mb"), row=1, col=1)
    figure.add_hline(y=_BUDGET / 1e6, line_dash="dash", annotation_text="budget", row=1, col=1)
    for name in results[0]["stages"]:
        y = [result["stages"][name]["wall"] for result in results]
        figure.add_trace(go.Scatter(x=sizes, y=y, name=name), row=1, col=2)
    figure.update_xaxes(type="log", title="passages")
    figure.update_yaxes(type="log")
    figure.update_layout(template="plotly_white")
    figure.write_html(path, include_plotlyjs=True)


def main() -> None:
    """Parse, run each size, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="without the million")
    parser.add_argument("--size", type=int, action="append", help="only this many passages")
    parser.add_argument("--dtype", choices=["float32", "float16", "bfloat16"], default="float32")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where the projects of the runs are made")
    parser.add_argument("--keep", action="store_true", help="leave them there")
    parser.add_argument("--out", type=Path, help="write the numbers to this JSON file")
    options = parser.parse_args()
    from support.machine import processor

    results = []
    for size in options.size or (SIZES[:2] if options.quick else SIZES):
        results.append(
            run(size, options.folder, dtype=options.dtype, threads=options.threads,
                keep=options.keep)
        )  # fmt: skip
        show(results[-1])
    result = {
        "machine": processor(), "threads": options.threads, "dtype": options.dtype,
        "sizes": results, "ratios": compare(results),
    }  # fmt: skip
    print(json.dumps(result["ratios"], indent=1))
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
        write_plot(results, options.out.with_suffix(".html"))


if __name__ == "__main__":
    main()
