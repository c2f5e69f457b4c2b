"""The spread-out regulariser: vectors that use the whole sphere (EmbeddingGemma)."""

from torch import Tensor

from gecko_kedro.training.losses.embedded import Vectors


def spread_out(vectors: Vectors) -> Tensor:
    r"""A scalar: for queries and for positives, added up,

    .. math:: \frac{1}{n(n-1)} \sum_{i \ne j} (x_i^\top x_j)^2

    Source: EmbeddingGemma, arXiv 2509.20354, after Zhang et al. 2017 (arXiv 1708.06320): vectors
    drawn evenly from the sphere have inner products of second moment 1/d, and stay apart when they
    are quantised. 0 for one row.
    """
    return _second_moment(vectors.queries) + _second_moment(vectors.positives)


def _second_moment(unit: Tensor) -> Tensor:
    n = len(unit)
    products = unit @ unit.T  # (n, d) @ (d, n) -> (n, n)
    off_diagonal = products.square().sum() - products.diagonal().square().sum()
    return off_diagonal / max(1, n * (n - 1))
