"""Which nodes a run will run, why, and roughly how long that takes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from gecko_kedro.base.errors import InputError, Words
from gecko_kedro.hooks.fingerprints import Change, Outputs

_MOST_SHOWN = 5


@dataclass(frozen=True)
class PlannedNode:
    """A node that will run. ``seconds`` are those of its last run, None if it has not run yet."""

    name: str
    reasons: tuple[str, ...]
    seconds: float | None


@dataclass(frozen=True)
class Plan:
    """The nodes of a run in their order, of ``total``, and the changes that are behind them."""

    nodes: tuple[PlannedNode, ...]
    total: int
    causes: tuple[str, ...]

    def summary(self) -> str:
        """One line: what changed, how many nodes run for it, and how long."""
        first = f" from {self.nodes[0].name} on" if self.nodes else ""
        nodes = f"{len(self.nodes)} of {self.total} nodes run{first}, {self.duration()}"
        return f"Changed: {_joined(self.causes)}. {nodes}" if self.causes else nodes

    def duration(self) -> str:
        """Roughly how long, by the run ledger."""
        known = [node.seconds for node in self.nodes if node.seconds is not None]
        new = len(self.nodes) - len(known)
        if new and not known:
            return "for a time that is unknown: none of them has run before"
        more = f", and {new} that have not run before" if new else ""
        return f"about {_clock(sum(known))} by their last run{more}"

    def table(self) -> str:
        """A line for each node, and the summary."""
        if not self.nodes:
            return "Nothing to do: every output is there."
        width = max(len(node.name) for node in self.nodes)
        lines = [f"{'node':<{width}} {'about':>8}  why"]
        for node in self.nodes:
            seconds = "unknown" if node.seconds is None else _clock(node.seconds)
            lines.append(f"{node.name:<{width}} {seconds:>8}  {_joined(node.reasons)}")
        return "\n".join([*lines, self.summary()])


def plan_run(
    pipeline: Pipeline,
    catalog: Any,
    outputs: Outputs,
    *,
    only_missing: bool,
    seconds: Mapping[str, float],
) -> Plan:
    """What a run of ``pipeline`` does; ``seconds`` are those of each node's last run.

    With ``only_missing`` these are the nodes that Kedro's runner chooses, and those of stale
    outputs. InputError where one of them would overwrite what somebody has put there by hand.
    """
    needed = _needed(pipeline, catalog, outputs.stale)
    made = [node for node in pipeline.nodes if node.outputs]  # others only log what is there
    nodes = [node for node in made if not only_missing or node in needed]
    planned = []
    for node in nodes:
        reasons = (*needed.get(node, ()),) or ("every node runs without --only-missing-outputs",)
        if only_missing:
            _refuse_to_overwrite(node, reasons, outputs.by_hand)
        planned.append(PlannedNode(node.name, reasons, seconds.get(node.name)))
    causes = (cause for change in outputs.stale.values() for cause in change.differences)
    return Plan(tuple(planned), len(made), tuple(dict.fromkeys(causes)))


def _needed(pipeline: Pipeline, catalog: Any, stale: Mapping[str, Change]) -> dict[Node, list[str]]:
    """The nodes whose outputs are missing, stale, or read by such nodes and not kept; and why."""
    needed: dict[Node, list[str]] = {}
    wanted: set[str] = set()
    for node in reversed(pipeline.nodes):
        kept = [name for name in node.outputs if _is_kept(catalog, name)]
        reasons = [reason for name in kept for reason in _reasons(name, catalog, stale)]
        reasons += [f"{name} is needed" for name in node.outputs if name in wanted - set(kept)]
        if reasons:
            needed[node] = list(dict.fromkeys(reasons))
            wanted.update(node.inputs)
    return needed


def _is_kept(catalog: Any, name: str) -> bool:
    return name in catalog and not getattr(catalog.get(name), "_EPHEMERAL", False)


def _reasons(name: str, catalog: Any, stale: Mapping[str, Change]) -> list[str]:
    if name in stale:
        follows = (f"{other} is made anew" for other in stale[name].follows)
        return [*stale[name].differences, *follows]
    return [] if catalog.exists(name) else [f"{name} is missing"]


def _refuse_to_overwrite(node: Node, reasons: tuple[str, ...], by_hand: Mapping[str, Path]) -> None:
    for name in node.outputs:
        if name in by_hand:
            raise InputError(
                f"dataset {name!r} ({by_hand[name]})",
                expected="to be as this project wrote it, since its node has to run",
                got=Words("another one, which was put there by hand"),
                fix=f"{node.name} would overwrite it ({_joined(reasons)}). Move it "
                "away to have it made anew; or keep it: set back what changed, or start behind it "
                "with --from-nodes.",
            )


def _joined(reasons: Sequence[str]) -> str:
    more = len(reasons) - _MOST_SHOWN
    return "; ".join(reasons[:_MOST_SHOWN]) + (f"; {more} more" if more > 0 else "")


def _clock(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
