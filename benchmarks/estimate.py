"""What a run was estimated to cost against what it then cost.

    python benchmarks/estimate.py --quick --out estimate.json   # 300 passages, 40 queries
    python benchmarks/estimate.py                                # 1,000 passages, 100 queries

In a folder of its own, first `kedro run --pipelines estimate`, then the run itself up to
fine-tuning on the documentation of a few installed packages, with the lexical stand-in (no LLM)
and MiniLM-L6. A ratio is the smaller of estimate and reality over the larger one, so 1 is best:
``estimate_accuracy_time`` for the seconds of the whole run, nodes that are not estimated included
(goal: at least 0.5), ``estimate_accuracy_calls``, ``_tokens``, ``_disk``, ``_memory`` and one for
each stage that took more than two seconds. Seconds are wall clock: on a loaded machine the load
must be the same in both halves.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from support.machine import processor

PROJECT = Path(__file__).resolve().parents[1]
PACKAGES = ["click", "tqdm", "jinja2", "yaml", "requests", "urllib3", "networkx"]
SIZES = {  # passages, seed passages, natural pairs
    "quick": (300, 40, 64),
    "whole": (1000, 100, 200),
}
GOAL = 0.5


def parameters(size: str, threads: int) -> dict:
    """Overrides of conf/base; batches of 16 so that training has some steps."""
    passages, seeds, pairs = SIZES[size]
    train = {"train": {"batch_size": 16, "threads": threads}}
    return {
        "corpus": {
            "python_docs": {"include": PACKAGES, "stdlib": False},
            "heldout": {"groups": ["jinja2"], "max_passages": passages},
        },
        "synthesize": {"sample": {"n_seeds": seeds}},
        "mine": {"search": {"threads": threads}, **train},
        "pretrain": {"select": {"max_pairs": pairs}, **train},
        "finetune": train,
    }


def run(folder: Path, pipelines: str, threads: int) -> None:
    quiet = {"OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1",
             "KEDRO_DISABLE_TELEMETRY": "1"}  # fmt: skip
    command = [sys.executable, "-m", "kedro", "run", "--pipelines", pipelines]
    subprocess.run(command, cwd=folder, env={**os.environ, **quiet}, check=True)


def agreement(estimated: float, real: float) -> float:
    """The smaller over the larger, in 0 to 1."""
    return 1.0 if estimated == real else min(estimated, real) / max(estimated, real)


def kept_bytes(data: Path) -> int:
    """Bytes below ``data``, without what the estimate itself left there."""
    files = [file for file in data.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files if "estimate" not in file.as_posix())


def compare(folder: Path) -> dict:
    reporting = folder / "data/08_reporting"
    estimate = json.loads((reporting / "estimate/run.json").read_text("utf-8"))
    ledger = json.loads((reporting / "run_ledger.json").read_text("utf-8"))
    real = {
        name: cost for name, cost in ledger["nodes"].items() if not name.startswith("estimate.")
    }
    asked = ledger["teacher"]

    def of_calls(*parts: str) -> float:
        kinds = ("generate", "query_log_likelihood", "label_log_likelihood")
        return sum(
            used.get(f"{kind}_{part}", 0)
            for stage, used in asked.items() if stage in {"synthesize", "relabel"}
            for kind in kinds for part in parts
        )  # fmt: skip

    whole = estimate["all"]
    seconds = sum(cost["seconds"] for cost in real.values())
    pairs = {
        "time": (whole["seconds"], seconds),
        "calls": (whole["usage"]["calls"], of_calls("calls", "hits")),
        "tokens": (
            whole["usage"]["prompt_tokens"] + whole["usage"]["completion_tokens"],
            of_calls("prompt_tokens", "hit_prompt_tokens", "completion_tokens",
                     "hit_completion_tokens"),
        ),
        "disk": (whole["disk"], kept_bytes(folder / "data")),
        "memory": (whole["memory"], max(cost["peak_mb"] for cost in real.values()) * 2**20),
    }  # fmt: skip
    for stage, cost in estimate["stages"].items():
        if real[stage]["seconds"] > 2:
            pairs[stage] = (cost["seconds"], real[stage]["seconds"])
    for name, (expected, found) in pairs.items():
        print(f"{name:<32} estimated {expected:>16,.1f} real {found:>16,.1f} "
              f"agreement {agreement(expected, found):.2f}")  # fmt: skip
    return {
        "machine": processor(),
        "size": estimate["size"],
        "estimated_and_real": {name: list(pair) for name, pair in pairs.items()},
        "seconds_of_nodes_without_estimate": sum(
            cost["seconds"] for name, cost in real.items() if name not in estimate["stages"]
        ),
        "goal": {"estimate_accuracy_time": GOAL},
        "ratios": {
            f"estimate_accuracy_{name.replace('.', '_')}": agreement(*pair)
            for name, pair in pairs.items()
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="300 passages instead of 1,000")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="a JSON file for the results")
    options = parser.parse_args()
    size = "quick" if options.quick else "whole"
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        shutil.copytree(PROJECT / "conf", folder / "conf")
        shutil.copy(PROJECT / "pyproject.toml", folder)
        (folder / "src").mkdir()
        local = folder / "conf/local/parameters.yml"
        local.parent.mkdir(exist_ok=True)
        local.write_text(json.dumps(parameters(size, options.threads)), "utf-8")  # YAML reads JSON
        run(folder, "estimate", options.threads)
        run(folder, "fret,pretrain,finetune", options.threads)
        results = compare(folder)
    if options.out is not None:
        options.out.write_text(json.dumps(results, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
