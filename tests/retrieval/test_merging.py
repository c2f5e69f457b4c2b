"""The best of a corpus from the best of its slices: the same bits as one search."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gecko_kedro.engine import LocalEngine
from gecko_kedro.retrieval import Index, SearchResult, SlicedIndex, merge_results
from gecko_kedro.retrieval.vector_table import narrowed
from tests.support.clusters import SeveralLocal

WIDTH = 3
# Few values: ties within a slice and across slices, rows of zeros, equal rows.
NUMBERS = st.sampled_from([-1.0, -0.5, 0.0, 0.25, 1.0])


@st.composite
def searches(draw):
    """Passages, queries, k, and where the passages are cut; slices may be empty."""
    rows = st.lists(NUMBERS, min_size=WIDTH, max_size=WIDTH)
    passages = np.array(draw(st.lists(rows, min_size=1, max_size=30)), dtype=np.float32)
    queries = np.array(draw(st.lists(rows, min_size=1, max_size=4)), dtype=np.float32)
    cuts = draw(st.lists(st.integers(0, len(passages)), max_size=5))
    return passages, queries, draw(st.integers(0, 12)), [0, *sorted(cuts), len(passages)]


def parts(passages, queries, k, edges):
    for start, stop in pairwise(edges):
        if start < stop:
            found = Index(passages[start:stop]).search(queries, k, threads=1)
            ids = np.where(found.ids >= 0, found.ids + start, -1)
            yield SearchResult(found.scores, ids, found.recall)


def same(one, other):
    assert one.scores.tobytes() == other.scores.tobytes()
    assert one.ids.tobytes() == other.ids.tobytes()
    assert one.recall == other.recall


@settings(max_examples=300, deadline=None)
@given(searches(), st.randoms(use_true_random=False))
def test_any_slices_in_any_order_merge_into_the_search_of_the_whole(search, random):
    passages, queries, k, edges = search
    whole = Index(passages).search(queries, k, threads=1)
    found = list(parts(passages, queries, k, edges))
    random.shuffle(found)
    same(merge_results(found, k), whole)
    middle = len(found) // 2
    if middle:
        halves = [merge_results(half, k) for half in (found[:middle], found[middle:])]
        same(merge_results(halves, k), whole)


@pytest.mark.parametrize("stored", ["memory", "float32", "float16", "bfloat16"])
def test_an_index_in_slices_searches_and_scores_as_one_index(tmp_path, stored):
    generator = np.random.default_rng(5)
    kind = "float32" if stored == "memory" else stored
    vectors = narrowed(generator.normal(size=(103, 16)).astype(np.float32), kind)
    queries = generator.normal(size=(11, 16)).astype(np.float32)
    ids = generator.integers(-1, 103, size=(11, 4))
    stored_as = "bfloat16" if kind == "bfloat16" else None
    whole = Index(vectors, stored_as=stored_as)
    if stored != "memory":
        header = b"header"
        (tmp_path / "vectors").write_bytes(header + vectors.tobytes())
        vectors = np.memmap(
            tmp_path / "vectors", vectors.dtype, "r", offset=len(header), shape=vectors.shape
        )
    for engine in (LocalEngine(), SeveralLocal(4), SeveralLocal(200)):
        sliced = SlicedIndex(vectors, engine=engine, threads=1, stored_as=stored_as)
        same(sliced.search(queries, 7), whole.search(queries, 7))
        same(sliced.search(queries[:0], 7), whole.search(queries[:0], 7))
        expected = whole.score_pairs(queries, ids)
        assert sliced.score_pairs(queries, ids).tobytes() == expected.tobytes()


def test_a_view_of_a_mapping_is_searched_as_what_it_is(tmp_path):
    vectors = np.random.default_rng(6).normal(size=(20, 8)).astype(np.float32)
    (tmp_path / "vectors").write_bytes(vectors.tobytes())
    view = np.memmap(tmp_path / "vectors", np.float32, "r", shape=vectors.shape)[5:15]
    found = SlicedIndex(view, engine=SeveralLocal(2), threads=1).search(vectors[:3], 4)
    same(found, Index(vectors[5:15]).search(vectors[:3], 4))
