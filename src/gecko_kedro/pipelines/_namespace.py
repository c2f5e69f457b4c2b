"""How functions become named nodes, and a stage's nodes one pipeline that Kedro-Viz can fold."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import polars as pl
from kedro.pipeline import Node, Pipeline

from gecko_kedro.pipelines._names import ELSEWHERE, HANDED_OVER

logger = logging.getLogger(__name__)


def step(function: Callable[..., Any], inputs: str | list[str], outputs: str | list[str]) -> Node:
    """A node that is named after its function: ``--from-nodes mine.embed_passages`` reads well."""
    return Node(function, inputs=inputs, outputs=outputs, name=function.__name__)


def stage(name: str, nodes: Sequence[Node]) -> Pipeline:
    """A pipeline in the namespace ``name``; its datasets have it too, but for those of ``_names``.

    Kedro-Viz shows a dataset that nothing reads outside the folded stage. So metrics, plots and
    quarantines are read once more inside, by ``sum_up``.
    """
    read = {_base(one) for node in nodes for one in node.inputs}
    made = {_base(one) for node in nodes for one in node.outputs}
    left = sorted(made - read - HANDED_OVER.keys())
    last = [Node(sum_up, dict(zip(left, left, strict=True)), None, name="sum_up")] if left else []
    return Pipeline(
        [*nodes, *last],
        namespace=name,
        inputs={one: ELSEWHERE[one] for one in read - made if one in ELSEWHERE},
        outputs={one: HANDED_OVER[one] for one in made if one in HANDED_OVER},
        parameters={one for one in read if one.startswith("params:")},
    )


def sum_up(**made: Any) -> None:
    """Say at the end of a stage what it has set aside, by reason."""
    for name, table in made.items():
        if isinstance(table, pl.DataFrame) and "reason" in table.columns and table.height:
            counts = table["reason"].value_counts(sort=True).iter_rows()
            reasons = ", ".join(f"{reason} {count}" for reason, count in counts)
            logger.info("%s: %d rows (%s)", name, table.height, reasons)


def _base(name: str) -> str:
    """Without Kedro's ``@table``, ``@scan``."""
    return name.partition("@")[0]
