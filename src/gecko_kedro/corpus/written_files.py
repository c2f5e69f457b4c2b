"""The files of ``gecko_kedro/written``; README.md there is their data card."""

from pathlib import Path

import polars as pl

WRITTEN = Path(__file__).parents[1] / "written"


def read_written(name: str) -> pl.DataFrame:
    """The rows of ``adaptation``, ``documents``, ``queries`` or ``judgements``.

    A passage is the qualified name of a docstring of the standard library.
    """
    return pl.read_ndjson(WRITTEN / f"{name}.jsonl")
