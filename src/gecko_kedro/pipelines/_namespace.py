"""How functions become named nodes, and a stage's nodes one pipeline that Kedro-Viz can fold."""

from collections.abc import Callable, Sequence
from typing import Any

from kedro.pipeline import Node, Pipeline


def step(function: Callable[..., Any], inputs: str | list[str], outputs: str | list[str]) -> Node:
    """A node that is named after its function: ``--from-nodes mine.embed_passages`` reads well."""
    return Node(function, inputs=inputs, outputs=outputs, name=function.__name__)


def stage(name: str, nodes: Sequence[Node]) -> Pipeline:
    """A pipeline in the namespace ``name`` whose datasets and parameters keep their own names."""
    parameters = {name for node in nodes for name in node.inputs if name.startswith("params:")}
    return Pipeline(
        nodes,
        namespace=name,
        parameters=parameters,
        prefix_datasets_with_namespace=False,
    )
