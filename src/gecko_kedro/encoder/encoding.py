"""Texts to vectors, fast on a CPU and exact in length."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gecko_kedro.encoder.loading import longest_input
from gecko_kedro.errors import InputError
from gecko_kedro.progress import Progress

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_SHAPE_STEP = 16

Vectors = npt.NDArray[np.float32]


def encode_texts(
    model: "SentenceTransformer",
    texts: Sequence[str],
    *,
    batch_size: int,
    dimension: int | None = None,
    description: str = "encode",
) -> Vectors:
    """L2-normalised vectors, ``(n, d)`` float32 in the order of ``texts``; ``(0, d)`` for none.

    The texts are taken as they are: render the templates before. They are batched by length, the
    longest first, so that a batch is padded little and an out-of-memory comes at once. With
    ``dimension`` the vectors are cut to their first ``dimension`` numbers and normalised again
    (Matryoshka). Normalisation is in float32 also where the weights are bfloat16, whose own leaves
    lengths of 1.002.
    """
    import torch

    width = model.get_embedding_dimension()
    if width is None:
        raise InputError("encoder", expected="a known vector width", got=None, fix="Use Pooling.")
    vectors = np.empty((len(texts), width), dtype=np.float32)
    order = np.argsort([-len(text) for text in texts], kind="stable")
    model.eval()
    limit = longest_input(model)
    with Progress(description, total=len(texts), unit="text") as progress, torch.inference_mode():
        for start in range(0, len(texts), batch_size):
            rows = order[start : start + batch_size]
            features = pad_tokens(model.preprocess([texts[row] for row in rows]), limit=limit)
            on_device = {
                name: value.to(model.device) if isinstance(value, torch.Tensor) else value
                for name, value in features.items()
            }
            vectors[rows] = model(on_device)["sentence_embedding"].float().cpu().numpy()
            progress.advance(len(rows))
    return truncate_vectors(vectors, width if dimension is None else dimension)


def pad_tokens(features: dict[str, Any], *, limit: int | None) -> dict[str, Any]:
    """``features`` with its token tensors (n, t) padded on the right, see ``padded_length``.

    Left as they are where they are padded on the left, or not a matrix.
    """
    import torch

    mask = features.get("attention_mask")
    if mask is None or mask.ndim != 2 or not bool(mask[:, 0].all()):
        return features
    width = mask.shape[1]
    missing = padded_length(width, limit=limit) - width
    return {
        name: torch.nn.functional.pad(value, (0, missing))
        if isinstance(value, torch.Tensor) and value.shape == mask.shape
        else value
        for name, value in features.items()
    }


def padded_length(tokens: int, *, limit: int | None) -> int:
    """``tokens`` rounded up to a multiple of 16, but not above ``limit``, the model's positions.

    The CPU library behind torch keeps a compiled kernel, with its memory, for every shape that it
    has seen: with all lengths from 1 to 256 that came to 2.5 GB.
    """
    rounded = -(-tokens // _SHAPE_STEP) * _SHAPE_STEP
    return rounded if limit is None else max(tokens, min(rounded, limit))


def truncate_vectors(vectors: Vectors, dimension: int) -> Vectors:
    """The first ``dimension`` columns of ``(n, d)``, L2-normalised again; a zero row stays zero."""
    if not 1 <= dimension <= vectors.shape[1]:
        raise InputError(
            "dimension",
            expected=f"a number from 1 to {vectors.shape[1]}, the width of the vectors",
            got=dimension,
            fix="Choose one of the Matryoshka dimensions that the model was trained for.",
        )
    cut = np.array(vectors[:, :dimension], dtype=np.float32, order="C")
    norms = np.linalg.norm(cut, axis=1, keepdims=True)
    norms[norms == 0] = 1
    cut /= norms
    return cut
