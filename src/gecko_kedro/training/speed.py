"""What makes training fast on its device, undone afterwards."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from gecko_kedro.base.memory import memory_kept
from gecko_kedro.encoder.model import Encoder
from gecko_kedro.training.ranks import world_size


@contextmanager
def trained_fast(model: Encoder, *, threads: int | None, compiled: bool = False) -> Iterator[None]:
    """Within the block: ``threads`` CPU threads and, on a CPU, eager attention without dropout.

    ``compiled`` adds torch.compile for the transformer. On a CPU, in one process and not compiled,
    the gradients of embedding tables are sparse until ``dense_gradients``: a dense one is a table
    of zeros for each pass. docs/training.md has what each of these was measured to save. On a GPU
    the model stays as it is.
    """
    transformer: Any = model.transformers_model
    with ExitStack() as undo:
        if threads is not None:
            undo.callback(torch.set_num_threads, torch.get_num_threads())
            torch.set_num_threads(threads)
        if model.device.type == "cpu":
            undo.enter_context(memory_kept())
            attention = getattr(getattr(transformer, "config", None), "_attn_implementation", None)
            if attention is not None:
                undo.callback(transformer.set_attn_implementation, attention)
                transformer.set_attn_implementation("eager")
            for layer in model.modules():
                if isinstance(layer, torch.nn.Dropout):
                    undo.callback(setattr, layer, "p", layer.p)
                    layer.p = 0.0
                # DDP and torch.compile want dense gradients.
                if isinstance(layer, torch.nn.Embedding) and world_size() == 1 and not compiled:
                    undo.callback(setattr, layer, "sparse", layer.sparse)
                    layer.sparse = True
        if compiled and transformer is not None:
            undo.callback(setattr, transformer, "_compiled_call_impl", None)
            transformer.compile(dynamic=True)  # in place: names of the weights stay as they are
        yield


def dense_gradients(model: torch.nn.Module) -> None:
    """Make the sparse gradients that ``trained_fast`` left dense, as the optimiser wants them."""
    for parameter in model.parameters():
        if parameter.grad is not None and parameter.grad.is_sparse:
            parameter.grad = parameter.grad.to_dense()
