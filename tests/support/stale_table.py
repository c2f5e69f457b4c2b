"""Parameter -> outputs that another value of it makes stale, from the pipelines themselves.

    python -m tests.support.stale_table        # writes tests/hooks/stale.yml anew

A parameter is a leaf of conf/base: ``mine.search.n_candidates``. A node's own outputs are stale
where the leaf is part of a parameter that the node takes, or of one that the catalog gives to a
dataset that the node reads and no node makes; then come all outputs that are made from those.
"""

import re
import textwrap
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from kedro.config import OmegaConfigLoader
from kedro.io import CatalogConfigResolver
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from omegaconf import OmegaConf
from pydantic import BaseModel

from gecko_kedro.hooks.fingerprints import counts
from gecko_kedro.params import Parameters, check_parameters
from gecko_kedro.pipeline_registry import EXTRAS, STAGES, register_pipelines
from tests.support.conf import CONF, PROJECT, all_base_parameters

REVIEWED = PROJECT / "tests/hooks/stale.yml"
_LAYER = re.compile(r"/(\d\d_\w+)/")


def strings_in(value: Any) -> Iterator[str]:
    """The strings of an entry, those of its blocks too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from strings_in(inner)


@dataclass(frozen=True)
class StaleTable:
    """``of(leaf)`` are the datasets that it makes stale; ``exempt`` those that make none stale."""

    pipeline: Pipeline
    parameters: Parameters
    catalog: CatalogConfigResolver  # in which ${params:corpus.source} reads "params:corpus.source"

    @cached_property
    def readers(self) -> dict[str, list[Node]]:
        """Leaf -> the nodes that take it, in their order."""
        found: dict[str, list[Node]] = {leaf: [] for leaf in all_leaves(self.parameters)}
        for node in self.pipeline.nodes:
            for leaf in dict.fromkeys(self._taken(node)):
                found[leaf].append(node)
        return found

    def of(self, leaf: str) -> set[str]:
        """The datasets that another value of ``leaf`` makes stale."""
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
        found = _LAYER.search(self.key(dataset))
        return found[1] if found else "none"

    def read_by_catalog(self, dataset: str) -> list[str]:
        """The parameters in the catalog's entry of ``dataset``."""
        found = strings_in(self._entry(dataset))
        return [one.removeprefix("params:") for one in found if one.startswith("params:")]

    def key(self, dataset: str) -> str:
        """The file, where there is one: entries that read the same file are the same dataset."""
        entry = self._entry(dataset)
        if (entry.get("metadata") or {}).get("scratch"):
            return dataset
        return str(entry.get("filepath") or entry.get("path") or dataset)

    def _entry(self, dataset: str) -> dict[str, Any]:
        return self.catalog.resolve_pattern(dataset) if self._is_listed(dataset) else {}

    def _is_listed(self, dataset: str) -> bool:
        listed = dataset in self.catalog.config
        return listed or self.catalog.match_dataset_pattern(dataset) is not None

    def nodes_of(self, leaf: str) -> set[str]:
        """The nodes that run again for another value of ``leaf``."""
        return {later.name for node in self.readers[leaf] for later in self.after(node)}

    def after(self, node: Node) -> list[Node]:
        """``node`` and those that run again when it does."""
        return self._after[node.name]

    def reached(self, node: Node) -> list[str]:
        """What ``node`` makes and what is made from it."""
        return [name for later in self.after(node) for name in later.outputs]

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
            lines += _list("makes", node.outputs, indent=4)
            lines += _list("then", follow, indent=4)
        return "\n".join(lines) + "\n"

    @cached_property
    def _after(self) -> dict[str, list[Node]]:
        """By what lies in the same place: ``passages@table`` and ``passages@scan`` are one."""
        takers: dict[str, set[Node]] = defaultdict(set)
        for node in self.pipeline.nodes:
            for name in node.inputs:
                takers[self.key(name)].add(node)
        found: dict[str, set[Node]] = {}
        for node in self.pipeline.nodes:
            later, fresh = {node}, [node]
            while fresh:
                made = fresh.pop().outputs
                new = {taker for name in made for taker in takers[self.key(name)]} - later
                later |= new
                fresh += new
            found[node.name] = later
        order = {node: place for place, node in enumerate(self.pipeline.nodes)}
        return {name: sorted(nodes, key=order.__getitem__) for name, nodes in found.items()}

    def _taken(self, node: Node) -> Iterator[str]:
        made = set(map(self.key, self.pipeline.all_outputs()))
        for name in node.inputs:
            if (self._entry(name).get("metadata") or {}).get("scratch"):
                continue
            if name == "parameters":
                yield from all_leaves(self.parameters, counted=True)
            elif name.startswith("params:") and not self._is_listed(name):
                yield from self._below(name.removeprefix("params:"))
            elif self.key(name) not in made:
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
    resolvers = {"params": lambda name: f"params:{name}", "conf": lambda path: f"conf/{path}"}
    for name in resolvers:  # of a loader before, which Kedro would keep
        OmegaConf.clear_resolver(name)
    loader = OmegaConfigLoader(
        str(CONF), base_env="base", default_run_env="base", custom_resolvers=resolvers
    )
    pipelines = register_pipelines()
    every = sum((pipelines[name] for name in (*STAGES, *EXTRAS)), Pipeline([]))
    makers = Pipeline([node for node in every.nodes if node.outputs])
    memory = {"{default}": {"type": "kedro.io.MemoryDataset"}}
    catalog = CatalogConfigResolver(loader["catalog"], default_runtime_patterns=memory)
    return StaleTable(makers, check_parameters(all_base_parameters()), catalog)


def write() -> None:
    """Write the reviewed file anew."""
    REVIEWED.write_text(stale_table().text(), "utf-8")


if __name__ == "__main__":
    write()
