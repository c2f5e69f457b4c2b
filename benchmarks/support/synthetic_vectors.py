"""Synthetic embeddings whose statistics are those of real text encoders.

Passages lie in 20,000 sub-topics under 512 topics with Zipf sizes, around a common mean; the
spectrum of all parts is a power law in a random basis (anisotropic, participation ratio about 75 of
384); 2 % are near-duplicates and 0.2 % exact ones. A query is a noised passage. With 1,000,000
passages: cosine of a random pair 0.05 +- 0.11, of a query with its source 0.62, 0.78 and 0.90 (5,
50 and 95 %).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_TOPICS, _SUBTOPICS = 512, 20_000
_MEAN, _TOPIC, _SUBTOPIC, _OWN = 0.05, 0.28, 0.22, 0.45  # shares of the squared norm
_NEAR, _EXACT = 0.02, 0.002
_ROWS_AT_ONCE = 65536


@dataclass(frozen=True)
class Vectors:
    """passages (n, d) and queries (q, d) float32, unit norm; sources (q,): the noised passages."""

    passages: NDArray[np.float32]
    queries: NDArray[np.float32]
    sources: NDArray[np.int64]


def make_vectors(n: int, q: int, d: int, *, seed: int = 7) -> Vectors:
    """``n`` passages and ``q`` queries of ``d`` dimensions."""
    random = np.random.default_rng(seed)
    basis = _basis(d, random)
    topics = _unit(random.normal(size=(_TOPICS, d)) @ basis)
    subtopics = _unit(random.normal(size=(_SUBTOPICS, d)) @ basis)
    mean = _unit(random.normal(size=(1, d)) @ basis)
    sizes = 1.0 / np.arange(1, _SUBTOPICS + 1) ** 0.7
    subtopic_of = random.choice(_SUBTOPICS, size=n, p=sizes / sizes.sum())
    passages = np.empty((n, d), dtype=np.float32)
    for start in range(0, n, _ROWS_AT_ONCE):
        part = subtopic_of[start : start + _ROWS_AT_ONCE]
        own = _unit(random.standard_normal((len(part), d), dtype=np.float32) @ basis)
        rows = np.sqrt(_OWN) * own + np.sqrt(_SUBTOPIC) * subtopics[part]
        rows += np.sqrt(_TOPIC) * topics[part % _TOPICS] + np.sqrt(_MEAN) * mean
        passages[start : start + _ROWS_AT_ONCE] = _unit(rows)
    _duplicate(passages, basis, random)
    sources = random.integers(n, size=q)
    noise = _unit(random.standard_normal((q, d), dtype=np.float32) @ basis)
    strength = random.uniform(0.45, 1.2, size=(q, 1)).astype(np.float32)
    return Vectors(passages, _unit(passages[sources] + strength * noise), sources)


def write_vectors(path: Path, n: int, q: int, d: int, *, seed: int = 7) -> NDArray[np.float32]:
    """Write ``n`` passages as float16, block by block -> queries (q, d), noised passages.

    As ``make_vectors``, but without duplicates, and a passage's own part is the sum of two rows of
    a pool: to draw billions of normal numbers would take longer than to search them.
    """
    random = np.random.default_rng(seed)
    basis = _basis(d, random)
    topics = _unit(random.normal(size=(_TOPICS, d)) @ basis)
    subtopics = _unit(random.normal(size=(_SUBTOPICS, d)) @ basis)
    mean = np.sqrt(_MEAN) * _unit(random.normal(size=(1, d)) @ basis)
    centres = np.sqrt(_SUBTOPIC) * subtopics + mean
    centres += np.sqrt(_TOPIC) * topics[np.arange(_SUBTOPICS) % _TOPICS]
    pool = _unit(random.standard_normal((_ROWS_AT_ONCE, d), dtype=np.float32) @ basis)
    pool *= np.float32(np.sqrt(_OWN / 2))
    sizes = 1.0 / np.arange(1, _SUBTOPICS + 1) ** 0.7
    sources = np.sort(random.integers(n, size=q))
    queries = np.empty((q, d), dtype=np.float32)
    with path.open("wb") as file:
        for start in range(0, n, _ROWS_AT_ONCE):
            count = min(_ROWS_AT_ONCE, n - start)
            rows = centres[random.choice(_SUBTOPICS, size=count, p=sizes / sizes.sum())]
            for part in random.integers(len(pool), size=(2, count)):
                rows += pool[part]
            rows = _unit(rows)
            rows.astype(np.float16).tofile(file)
            here = (sources >= start) & (sources < start + count)
            queries[here] = rows[sources[here] - start]
    noise = _unit(random.standard_normal((q, d), dtype=np.float32) @ basis)
    return _unit(queries + random.uniform(0.45, 1.2, size=(q, 1)).astype(np.float32) * noise)


def _basis(d: int, random: np.random.Generator) -> NDArray[np.float32]:
    rotation, _ = np.linalg.qr(random.normal(size=(d, d)))
    deviations = np.sqrt(1.0 / (np.arange(d) + 3.3))
    basis: NDArray[np.float32] = (deviations[:, None] * rotation).astype(np.float32)
    return basis


def _duplicate(
    passages: NDArray[np.float32], basis: NDArray[np.float32], random: np.random.Generator
) -> None:
    n = len(passages)
    near, exact = (random.integers(n, size=(2, int(n * share))) for share in (_NEAR, _EXACT))
    jitter = _unit(random.standard_normal((near.shape[1], basis.shape[0]), dtype=np.float32))
    passages[near[0]] = _unit(passages[near[1]] + np.float32(0.1) * jitter)
    passages[exact[0]] = passages[exact[1]]


def _unit(rows: NDArray[np.floating]) -> NDArray[np.float32]:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
