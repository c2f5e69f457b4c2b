"""One way to open vectors for search, whichever route then serves."""

from typing import TYPE_CHECKING, Any, Literal

from gecko_kedro.base.errors import InputError
from gecko_kedro.retrieval.approximate import ApproximateIndex
from gecko_kedro.retrieval.index import Index
from gecko_kedro.retrieval.vectors import is_tensor

if TYPE_CHECKING:
    from gecko_kedro.retrieval.torch_index import TorchIndex

Route = Literal["auto", "cpu", "gpu", "approximate"]


def open_index(vectors: Any, *, route: Route = "auto") -> "Index | TorchIndex | ApproximateIndex":
    """Passages (n, d) ready for ``search(queries, k, exclude=..., threads=..., progress=...)``.

    route: ``cpu`` is ``Index``, ``gpu`` ``TorchIndex`` on the vectors' GPU or else the first one,
    both exact, with the same bits; ``approximate`` is ``ApproximateIndex``, whose results say their
    recall. ``auto`` stays where the vectors are. All options of a route are with its class.
    Raises InputError for ``gpu`` without a GPU, and as these classes do.
    """
    if route not in ("auto", "cpu", "gpu", "approximate"):
        raise InputError(
            "retrieval.open_index, route",
            expected="'auto', 'cpu', 'gpu' or 'approximate'",
            got=route,
            fix="'auto' is exact, on the GPU where the vectors are on one.",
        )
    on_gpu = is_tensor(vectors) and vectors.device.type != "cpu"
    if route == "approximate":
        return ApproximateIndex(Index(vectors))
    if route == "cpu" or (route == "auto" and not on_gpu):
        return Index(vectors)

    import torch

    from gecko_kedro.retrieval.torch_index import TorchIndex

    if not on_gpu and not torch.cuda.is_available():
        raise InputError(
            "retrieval.open_index, route",
            expected="'auto', 'cpu' or 'approximate' on a machine without CUDA",
            got=route,
            fix="Use 'auto': the results are the same bits.",
        )
    return TorchIndex(vectors, device=None if on_gpu else "cuda")
