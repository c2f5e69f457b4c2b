"""Texts to vectors, fast on a CPU and exact in length."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from operator import itemgetter
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from gecko_kedro.base.errors import InputError
from gecko_kedro.base.progress import Progress
from gecko_kedro.encoder.attention import blocked_attention
from gecko_kedro.encoder.loading import longest_input
from gecko_kedro.encoder.model import Encoder

_SHAPE_STEP = 16
_ENCODING_STEP = 8  # encoding needs a third of training's kernels
_WINDOW = 32  # batches
_TOKENS_AT_ONCE = 2048  # on a CPU: what goes from layer to layer stays in its caches
_COST_OF_A_BATCH = 64  # what a further one costs on a CPU, in tokens

Vectors = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]
BatchSize = int | Literal["auto"]


def encode_texts(
    model: Encoder,
    texts: Sequence[str],
    *,
    batch_size: BatchSize = "auto",
    dimension: int | None = None,
    description: str = "encode",
) -> Vectors:
    """L2-normalised vectors, ``(n, d)`` float32 in the order of ``texts``; ``(0, d)`` for none.

    The texts are taken as they are: render the templates before. They are batched by length, at
    most ``batch_size`` together ("auto": 32 on a CPU, 256 on a GPU) and, on a CPU, 2,048 tokens;
    the longest first, so that a batch is padded little and an out-of-memory comes at once: by
    characters first, then, in windows of some batches, by tokens. While one window is embedded,
    the next is tokenised.

    With ``dimension`` the vectors are cut to their first ``dimension`` numbers and normalised again
    (Matryoshka). Normalisation is in float32 also where the weights are bfloat16, whose own leaves
    lengths of 1.002.
    """
    import torch
    from sentence_transformers.util import batch_to_device

    width = model.get_embedding_dimension()
    if width is None:
        raise InputError("encoder", expected="a known vector width", got=None, fix="Use Pooling.")
    vectors = np.empty((len(texts), width), dtype=np.float32)
    order = np.argsort([-len(text) for text in texts], kind="stable")
    by_device = 32 if model.device.type == "cpu" else 256
    size = by_device if batch_size == "auto" else batch_size
    model.eval()
    with (
        Progress(description, total=len(texts), unit="text") as progress,
        torch.inference_mode(),
        blocked_attention(model),
    ):
        for rows, features in _batches(model, texts, order, size):
            there = batch_to_device(features, model.device)
            vectors[rows] = model(there)["sentence_embedding"].float().cpu().numpy()
            progress.advance(len(rows))
    return truncate_vectors(vectors, width if dimension is None else dimension)


def _batches(
    model: Encoder, texts: Sequence[str], order: Rows, size: int
) -> Iterator[tuple[Rows, dict[str, Any]]]:
    """Row numbers and tokens of each batch; the tokeniser works one window ahead."""

    def tokenise(rows: Rows) -> dict[str, Any]:
        return model.preprocess([texts[row] for row in rows])

    windows = [order[i : i + size * _WINDOW] for i in range(0, len(order), size * _WINDOW)]
    with ThreadPoolExecutor(max_workers=1) as ahead:
        coming = [ahead.submit(tokenise, window) for window in windows[:1]]
        for number, window in enumerate(windows):
            features = coming.pop().result()
            coming += [ahead.submit(tokenise, after) for after in windows[number + 1 : number + 2]]
            if padded_on_the_right(features):
                yield from _by_tokens(model, window, features, size)
                continue
            for start in range(0, len(window), size):  # packed, or padded on the left
                rows = window[start : start + size]
                # By the same thread: a tokeniser serves one at a time.
                yield rows, ahead.submit(tokenise, rows).result()


def _by_tokens(
    model: Encoder, window: Rows, features: dict[str, Any], size: int
) -> Iterator[tuple[Rows, dict[str, Any]]]:
    import torch

    device, half = model.device.type, model.dtype == torch.bfloat16
    limit, step = longest_input(model), shape_step(device, half=half, otherwise=_ENCODING_STEP)
    lengths = features["attention_mask"].sum(dim=1)
    order = lengths.argsort(descending=True, stable=True)
    descending = lengths[order].tolist()
    padded = [padded_length(length, limit=limit, step=step) for length in descending]
    budget = size * padded[0]
    if device == "cpu":
        budget = min(budget, max(padded[0], _TOKENS_AT_ONCE))
    if step == 1:  # shapes are free, so the batches may have any size
        ranges = token_budget_ranges(padded, budget, cost=_COST_OF_A_BATCH, largest=size)
    else:
        ranges = _ranges_of_few_shapes(padded, budget, largest=size)
    for start, end in ranges:
        chosen, longest = order[start:end], descending[start]
        batch = _each_matrix(features, itemgetter((chosen, slice(longest))))
        yield window[chosen.numpy()], pad_tokens(batch, limit=limit, step=step)


def _each_matrix(features: dict[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    """``features`` with every matrix (n, t) of tokens changed."""
    shape = features["attention_mask"].shape
    return {
        name: change(value) if getattr(value, "shape", None) == shape else value
        for name, value in features.items()
    }


def _ranges_of_few_shapes(padded: list[int], budget: int, *, largest: int) -> list[tuple[int, int]]:
    """(start, end) of batches: of each length as many texts as ``budget`` tokens have room for."""
    ranges, start = [], 0
    while start < len(padded):
        end = min(len(padded), start + min(largest, max(1, budget // padded[start])))
        ranges.append((start, end))
        start = end
    return ranges


def token_budget_ranges(
    descending: list[int], budget: int, *, cost: float, largest: int | None = None
) -> list[tuple[int, int]]:
    """(start, end) of groups of texts; ``descending`` are their lengths, the longest first.

    A group's longest text times its size is at most ``budget``, but each has one text at least; no
    group has more than ``largest`` texts. Of all ways to cut, this is the one with the fewest
    tokens, padding included, where a group costs ``cost`` tokens besides.
    """
    n = len(descending)
    most_texts = n if largest is None else largest
    least = np.full(n + 1, np.inf)  # cost of the first so many texts
    least[0] = 0
    begin = np.zeros(n + 1, dtype=np.int64)  # of the last group of these
    for start, longest in enumerate(descending):
        most = min(n - start, most_texts, max(1, budget // longest))
        costs = least[start] + cost + longest * np.arange(1, most + 1)
        ends = slice(start + 1, start + most + 1)
        less = costs < least[ends]
        least[ends][less] = costs[less]
        begin[ends][less] = start
    ranges, end = [], n
    while end:
        ranges.append((int(begin[end]), end))
        end = ranges[-1][0]
    return ranges[::-1]


def padded_on_the_right(features: dict[str, Any]) -> bool:
    """Whether these are matrices of tokens whose padding, if any, is behind the text."""
    mask = features.get("attention_mask")
    return mask is not None and mask.ndim == 2 and bool(mask[:, 0].all())


def pad_tokens(
    features: dict[str, Any], *, limit: int | None, step: int = _SHAPE_STEP
) -> dict[str, Any]:
    """``features`` with its token tensors (n, t) padded on the right, see ``padded_length``.

    Left as they are where they are padded on the left, or not a matrix.
    """
    import torch

    if not padded_on_the_right(features):
        return features
    width = features["attention_mask"].shape[1]
    missing = padded_length(width, limit=limit, step=step) - width
    return _each_matrix(features, lambda value: torch.nn.functional.pad(value, (0, missing)))


def padded_length(tokens: int, *, limit: int | None, step: int = _SHAPE_STEP) -> int:
    """``tokens`` rounded up to a multiple of ``step``, but not above ``limit``, the positions."""
    rounded = -(-tokens // step) * step
    return rounded if limit is None else max(tokens, min(rounded, limit))


def shape_step(device: str, *, half: bool, otherwise: int = _SHAPE_STEP) -> int:
    """What lengths are rounded up to: 1 where any number of shapes is free, else ``otherwise``.

    oneDNN, by which torch computes bfloat16 (``half``) on a CPU, keeps a compiled kernel, with its
    memory, for every shape that it has seen: in training, with all lengths from 1 to 256, that came
    to 2.5 GB. MKL, by which torch computes float32 on x86, keeps none.
    """
    import torch

    mkl: bool = torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]
    return 1 if device == "cpu" and not half and mkl else otherwise


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
