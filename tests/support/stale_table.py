"""Parameter -> outputs that another value of it makes stale, from the pipelines themselves.

    python -m tests.support.stale_table        # writes tests/hooks/stale.yml anew

A parameter is a leaf of conf/base: ``mine.search.n_candidates``. A node's own outputs are stale
where the leaf is part of a parameter that the node takes, or of one that the catalog gives to a
dataset that the node reads and no node makes; then come all outputs that are made from those.
"""

import re
import textwrap
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import yaml
from kedro.io.catalog_config_resolver import CatalogConfigResolver
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from pydantic import BaseModel

from gecko_kedro.config import ParameterAwareConfigLoader
from gecko_kedro.hooks.fingerprints import counts
from gecko_kedro.params import Parameters, check_parameters
from gecko_kedro.pipeline_registry import EXTRAS, STAGES, register_pipelines
from tests.support.conf import CONF, PROJECT

REVIEWED = PROJECT / "tests/hooks/stale.yml"
_READ_BY_CATALOG = re.compile(r"<params:([\w.]+)>")


@dataclass(frozen=True)
class StaleTable:
    """``of(leaf)`` are the datasets that it makes stale; ``exempt`` those that make none stale."""

    pipeline: Pipeline
    parameters: Parameters
    entries: Mapping[str, Any]  # of the catalog, for each dataset that a node takes or makes

    @cached_property
    def readers(self) -> dict[str, list[Node]]:
        """Leaf -> the nodes that take it, in their order."""
        found: dict[str, list[Node]] = {leaf: [] for leaf in all_leaves(self.parameters)}
        for node in self.pipeline.nodes:
            for leaf in dict.fromkeys(self._taken(node)):
                found[leaf].append(node)
        return found

    def of(self, leaf: str) -> set[str]:
        """The datasets, without Kedro's ``@``, that another value of ``leaf`` makes stale."""
        return {name for node in self.readers[leaf] for name in self.reached(node)}

    def exempt(self) -> set[str]:
        """Leaves that make nothing stale."""
        return {leaf for leaf, nodes in self.readers.items() if not nodes}

    def leaf(self, parameter: str) -> str:
        """``parameter`` up to the field that holds it: ``corpus.columns.text``: corpus.columns."""
        value: Any = self.parameters
        parts: list[str] = []
        for part in parameter.split("."):
            if not isinstance(value, BaseModel):
                break
            parts.append(part)
            value = getattr(value, part)
        return ".".join(parts)

    def layer(self, dataset: str) -> str:
        """The folder of the data that ``dataset`` lies in, such as 08_reporting."""
        made = self.pipeline.all_outputs()
        entries = [
            entry for name, entry in self.entries.items() if own(name) == dataset and name in made
        ]
        found = re.search(r"<globals:data>/(\w+)/", str(entries))
        return found[1] if found else "none"

    def read_by_catalog(self, dataset: str) -> list[str]:
        """The parameters in the catalog's entry of ``dataset``."""
        return _READ_BY_CATALOG.findall(str(self.entries.get(dataset, "")))

    def nodes_of(self, leaf: str) -> set[str]:
        """The nodes that run again for another value of ``leaf``."""
        return {later.name for node in self.readers[leaf] for later in self.after(node)}

    def after(self, node: Node) -> list[Node]:
        """``node`` and those that run again when it does."""
        return self._after[node.name]

    def reached(self, node: Node) -> list[str]:
        """What ``node`` makes and what is made from it."""
        return [own(name) for later in self.after(node) for name in later.outputs]

    def text(self) -> str:
        """The reviewed file."""
        groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for leaf, nodes in sorted(self.readers.items()):
            groups[tuple(node.name for node in nodes)].append(leaf)
        exempt = groups.pop((), [])
        lines = [
            "# Made by `python -m tests.support.stale_table`; a test holds it to the pipelines.",
            "", "# Another value of these makes nothing stale: they only change speed.",
            *_list("exempt", exempt, indent=0),
            "", "# Another value of these runs these nodes again, and all that follow from them.",
            "parameters:",
        ]  # fmt: skip
        for names, leaves_of_group in sorted(groups.items(), key=lambda group: group[1]):
            lines += _list("- nodes", names, indent=2)
            lines += _list("  leaves", leaves_of_group, indent=2)
        lines += ["", "# What a node makes, and which nodes follow from it.", "nodes:"]
        for node in sorted(self.pipeline.nodes, key=lambda node: node.name):
            follow = sorted(later.name for later in self.after(node) if later is not node)
            lines.append(f"  {node.name}:")
            lines += _list("makes", [own(name) for name in node.outputs], indent=4)
            lines += _list("then", follow, indent=4)
        return "\n".join(lines) + "\n"

    @cached_property
    def _after(self) -> dict[str, list[Node]]:
        """Through Kedro's transcoding too: ``passages@table`` and ``passages@scan`` are one."""
        takers: dict[str, set[Node]] = defaultdict(set)
        for node in self.pipeline.nodes:
            for name in node.inputs:
                takers[own(name)].add(node)
        found: dict[str, set[Node]] = {}
        for node in reversed(self.pipeline.nodes):
            direct = {taker for name in node.outputs for taker in takers[own(name)]}
            found[node.name] = {node}.union(*(found[taker.name] for taker in direct))
        order = {node: place for place, node in enumerate(self.pipeline.nodes)}
        return {name: sorted(nodes, key=order.__getitem__) for name, nodes in found.items()}

    def _taken(self, node: Node) -> Iterator[str]:
        made = {own(name) for name in self.pipeline.all_outputs()}
        for name in node.inputs:
            entry = self.entries.get(name, {})
            if entry.get("metadata", {}).get("scratch"):
                continue
            if name.startswith("params:") and not entry:
                yield from self._below(name.removeprefix("params:"))
            elif own(name) not in made:
                for parameter in self.read_by_catalog(name):
                    yield from self._below(parameter)

    def _below(self, parameter: str) -> Iterator[str]:
        """The leaves of a parameter that may change a result."""
        value: Any = self.parameters
        for part in parameter.split("."):
            value = getattr(value, part, None)
        if isinstance(value, BaseModel):
            yield from all_leaves(value, f"{parameter}.", counted=True)
        else:
            yield self.leaf(parameter)


def _list(key: str, items: Sequence[str], *, indent: int) -> list[str]:
    """``key: [a, b]`` in YAML, over as many lines as it takes."""
    first = " " * indent
    return textwrap.wrap(
        f"{key}: [{', '.join(items)}]", 100, initial_indent=first,
        subsequent_indent=first + " " * 4, break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def own(dataset: str) -> str:
    """Without Kedro's ``@scan``, ``@table``."""
    return dataset.partition("@")[0]


def all_leaves(settings: BaseModel, prefix: str = "", *, counted: bool = False) -> Iterator[str]:
    """Names of all fields that are no nested settings; ``counted``: those that change a result.

    A table of free names (``corpus.columns``) is one leaf.
    """
    for name, info in type(settings).model_fields.items():
        value = getattr(settings, name)
        if counted and not counts(info):
            continue
        if isinstance(value, BaseModel):
            yield from all_leaves(value, f"{prefix}{name}.", counted=counted)
        else:
            yield f"{prefix}{name}"


def stale_table() -> StaleTable:
    """The table of all pipelines with the parameters of conf/base."""
    loader = ParameterAwareConfigLoader(str(CONF), base_env="base", default_run_env="base")
    pipelines = register_pipelines()
    every = sum((pipelines[name] for name in (*STAGES, *EXTRAS)), Pipeline([]))
    written: dict[str, Any] = {}
    for file in sorted((CONF / "base/catalog").glob("*.yml")):
        # Else the braces would be those of a pattern.
        written |= yaml.safe_load(re.sub(r"\$\{([^}]+)\}", r"<\1>", file.read_text("utf-8")))
    catalog = CatalogConfigResolver(written, default_runtime_patterns={})
    entries = {
        name: catalog.resolve_pattern(name)
        for name in every.datasets()
        if name in catalog.config or catalog.match_dataset_pattern(name)
    }
    return StaleTable(every, check_parameters(loader["parameters"]), entries)


def write() -> None:
    """Write the reviewed file anew."""
    REVIEWED.write_text(stale_table().text(), "utf-8")


if __name__ == "__main__":
    write()
