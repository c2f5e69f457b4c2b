"""The device that searches exactly: the results are the same bits on each."""

import logging
from typing import TYPE_CHECKING, Any

from gecko_kedro.base.errors import InputError
from gecko_kedro.retrieval.index import Index
from gecko_kedro.retrieval.settings import SearchDevice
from gecko_kedro.retrieval.vectors import as_matrix, is_tensor

if TYPE_CHECKING:
    from gecko_kedro.retrieval.torch_index import TorchIndex

logger = logging.getLogger(__name__)
_SCRATCH_BYTES = 1 << 30  # what TorchIndex takes besides the vectors, with room to spare


def open_exact(
    vectors: Any, *, device: SearchDevice = "auto", stored_as: str | None = None
) -> "Index | TorchIndex":
    """Passages (n, d) ready for ``search`` and ``score_pairs``.

    device: ``cpu`` is ``Index``, ``cuda`` is ``TorchIndex`` on the current GPU. ``auto`` takes the
    GPU where there is one with enough free memory for the vectors, and says in the log which of
    the two it took. stored_as: see ``Index``.
    Raises InputError for ``cuda`` without a GPU that has the room, and as the two classes do.
    """
    if device == "cpu":
        return Index(vectors, stored_as=stored_as)
    where = "retrieval.open_exact, vectors"
    matrix = vectors if is_tensor(vectors) else as_matrix(vectors, where, stored_as=stored_as)
    obstacle = _obstacle(matrix.nbytes)
    if obstacle is None:
        from gecko_kedro.retrieval.torch_index import TorchIndex

        logger.info("a GPU searches %d vectors", len(matrix))
        return TorchIndex(vectors, device="cuda", stored_as=stored_as)
    if device == "cuda":
        raise InputError(
            "retrieval.open_exact, device",
            expected="a CUDA GPU that has the memory for the vectors",
            got=obstacle,
            fix="Use 'auto' or 'cpu': the results are the same bits.",
        )
    logger.info("the CPU searches %d vectors: %s", len(matrix), obstacle)
    return Index(vectors, stored_as=stored_as)


def _obstacle(n_bytes: int) -> str | None:
    """Why a GPU cannot hold vectors of so many bytes; None where it can."""
    import torch

    if not torch.cuda.is_available():
        return "no CUDA GPU was found"
    free, _ = torch.cuda.mem_get_info()
    needed = n_bytes + _SCRATCH_BYTES
    if needed > free:
        return f"{needed / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB are free on the GPU"
    return None
