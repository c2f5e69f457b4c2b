"""Which rows of a batch are no negatives of each other."""

from torch import Tensor


def same_text(labels: Tensor) -> Tensor:
    """``(n, n)`` bool: rows i != j that share their query's text or their positive's text.

    ``labels`` is ``(n, 2)`` integer: an id of the query's text and one of the positive's text.
    Several synthetic queries are written for one passage, so that the other's positive, and the
    other query, would be false negatives (the mask of EmbeddingGemma's equation 3, arXiv
    2509.20354). A row is never masked against itself.
    """
    query, positive = labels[:, 0], labels[:, 1]
    same = (query[:, None] == query[None, :]) | (positive[:, None] == positive[None, :])
    return same.fill_diagonal_(False)
