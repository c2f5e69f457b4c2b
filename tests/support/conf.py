"""The parameters of conf/, for tests that need real ones."""

from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).resolve().parents[2]
CONF = PROJECT / "conf"


def base_parameters(name: str) -> Any:
    """The block ``name`` of conf/base/parameters, as YAML has it."""
    return yaml.safe_load((CONF / f"base/parameters/{name}.yml").read_text("utf-8"))[name]


def all_base_parameters() -> dict[str, Any]:
    """All blocks of conf/base/parameters."""
    return {
        file.stem: base_parameters(file.stem)
        for file in sorted((CONF / "base/parameters").glob("*.yml"))
    }
