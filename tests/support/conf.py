"""The parameters of conf/, for tests that need real ones."""

from pathlib import Path
from typing import Any

import yaml

from gecko_kedro.config import filled_in

PROJECT = Path(__file__).resolve().parents[2]
CONF = PROJECT / "conf"


def base_parameters(name: str) -> Any:
    """The block ``name`` of conf/base/parameters, as a run gets it."""
    return all_base_parameters()[name]


def all_base_parameters() -> dict[str, Any]:
    """All blocks of conf/base/parameters, with the teacher that every machine has."""
    found = raw_base_parameters()
    found["teacher"]["backend"] = "lexical"
    return filled_in(found)


def raw_base_parameters() -> dict[str, Any]:
    """The same as the files have it, nothing filled in."""
    found: dict[str, Any] = {}
    for file in sorted((CONF / "base/parameters").glob("*.yml")):
        found |= yaml.safe_load(file.read_text("utf-8"))
    return found
