"""Vectors of every awkward shape, for the tests of all routes."""

import numpy as np
from numpy.typing import NDArray

WIDTHS = (0, 1, 2, 5, 6, 7, 11, 12, 13, 15, 16, 17, 31, 32, 33, 63, 65)
SHAPES = ("gaussian", "grid", "duplicates", "equal", "zeros", "outlier", "unnormalised", "clusters")


def make_vectors(shape: str, n: int, d: int, seed: int) -> NDArray[np.float32]:
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(n, d)).astype(np.float32)
    if shape == "grid":  # many exact ties
        vectors = np.round(vectors)
    elif shape == "duplicates" and n:
        vectors = vectors[random.integers(max(1, n // 3), size=n)]
    elif shape == "equal":
        vectors[:] = 0.1
    elif shape == "zeros":
        vectors[::2] = 0
    elif shape == "outlier" and d:
        vectors[:, d // 2] *= 1000
    elif shape == "unnormalised":
        vectors *= 10.0 ** random.uniform(-15, 15, size=(n, 1)).astype(np.float32)
    elif shape == "clusters" and n:
        vectors = vectors[np.sort(random.integers(4, size=n)) % n] + vectors * np.float32(0.01)
    return vectors
