"""Searches at every level of this machine: the same bits, and more than NumPy alone; and types."""

import os
from pathlib import Path

import numpy as np

import gecko_kedro
from gecko_kedro.retrieval import Index
from gecko_kedro.retrieval.levels import VARIABLE, available_levels


def main() -> None:
    """Print the levels that agree."""
    random = np.random.default_rng(0)
    passages = random.normal(size=(2000, 37)).astype(np.float32)
    queries = random.normal(size=(40, 37)).astype(np.float32)
    results = {}
    for level in available_levels():
        os.environ[VARIABLE] = level
        found = Index(passages).search(queries, 5, threads=1)
        results[level] = found.ids.tobytes() + found.scores.tobytes()
    if len(set(results.values())) != 1 or len(results) < 2:
        raise SystemExit(f"levels differ, or there is no extension: {list(results)}")
    package = Path(gecko_kedro.__file__).parent
    if missing := [name for name in ("py.typed", "_core.pyi") if not (package / name).is_file()]:
        raise SystemExit(f"the wheel lacks {missing}")
    print(*results)


if __name__ == "__main__":
    main()
