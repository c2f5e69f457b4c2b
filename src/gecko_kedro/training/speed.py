"""What makes training fast on its device, undone afterwards."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from gecko_kedro.base.memory import memory_kept
from gecko_kedro.training.ranks import world_size

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer


@contextmanager
def trained_fast(
    model: "SentenceTransformer", *, threads: int | None, compiled: bool = False
) -> Iterator[None]:
    """Within the block: ``threads`` CPU threads and, on a CPU, eager attention without dropout.

    ``compiled`` adds torch.compile for the transformer.

    On a CPU, in one process and not compiled, the gradients of embedding tables are sparse until
    ``dense_gradients``: a dense one is a table of zeros for each pass (of 47 MB for MiniLM's 30,522
    tokens).

    Measured with MiniLM, batch 64 of 128 tokens: the backward pass of torch's fused attention
    takes half of a bfloat16 step on a CPU and dropout's random bits another sixth; without both
    it is 2.3 times as fast. Inference is faster with fused attention, so the model gets its own
    back at the end. On a GPU the model stays as it is.
    """
    with ExitStack() as stack:
        if threads is not None:
            stack.enter_context(_cpu_threads(threads))
        if model.device.type == "cpu":
            stack.enter_context(memory_kept())
            stack.enter_context(_eager_attention(model))
            stack.enter_context(_no_dropout(model))
            if world_size() == 1 and not compiled:  # DDP and torch.compile want dense ones
                stack.enter_context(_sparse_embedding_gradients(model))
        if compiled:
            stack.enter_context(_compiled(model))
        yield


@contextmanager
def _cpu_threads(threads: int) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _eager_attention(model: "SentenceTransformer") -> Iterator[None]:
    transformer = model.transformers_model
    before = getattr(getattr(transformer, "config", None), "_attn_implementation", None)
    if transformer is None or before is None:
        yield
        return
    transformer.set_attn_implementation("eager")
    try:
        yield
    finally:
        transformer.set_attn_implementation(before)


@contextmanager
def _compiled(model: "SentenceTransformer") -> Iterator[None]:
    transformer: Any = model.transformers_model
    if transformer is None:
        yield
        return
    transformer.compile(dynamic=True)  # in place: names of the weights stay as they are
    try:
        yield
    finally:
        transformer._compiled_call_impl = None


@contextmanager
def _no_dropout(model: "SentenceTransformer") -> Iterator[None]:
    import torch

    layers = [layer for layer in model.modules() if isinstance(layer, torch.nn.Dropout)]
    before = [layer.p for layer in layers]
    for layer in layers:
        layer.p = 0.0
    try:
        yield
    finally:
        for layer, probability in zip(layers, before, strict=True):
            layer.p = probability


@contextmanager
def _sparse_embedding_gradients(model: "SentenceTransformer") -> Iterator[None]:
    import torch

    tables = [
        table
        for table in model.modules()
        if isinstance(table, torch.nn.Embedding) and not table.sparse
    ]
    for table in tables:
        table.sparse = True
    try:
        yield
    finally:
        for table in tables:
            table.sparse = False


def dense_gradients(model: "torch.nn.Module") -> None:
    """Make the sparse gradients that ``trained_fast`` left dense, as the optimiser wants them."""
    for parameter in model.parameters():
        if parameter.grad is not None and parameter.grad.is_sparse:
            parameter.grad = parameter.grad.to_dense()
