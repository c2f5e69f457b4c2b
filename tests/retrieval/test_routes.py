"""The approximate and the lexical route, and their fusion."""

import ml_dtypes
import numpy as np
import pytest

from gecko_kedro.base.errors import InputError
from gecko_kedro.retrieval import (
    ApproximateIndex,
    Index,
    LexicalIndex,
    SearchCancelled,
    SearchResult,
    fuse_results,
)


def unit(n, d, seed):
    rows = np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def exact():
    return Index(unit(1500, 16, 1))


def test_an_approximate_search_gives_exact_scores_in_the_order_of_results(exact):
    graph, queries = ApproximateIndex(exact, dtype="i8"), unit(40, 16, 2)
    found = graph.search(queries, 10, exclude=[[1, 2, 3]] * 40)
    assert (found.scores == exact.score_pairs(queries, found.ids)).all()
    assert (np.diff(found.scores, axis=1) <= 0).all()
    assert not np.isin(found.ids, [1, 2, 3]).any()
    assert (found.ids >= 0).all()


def test_an_approximate_search_that_looks_at_everything_is_exact(exact):
    graph, queries = ApproximateIndex(exact, dtype="f32", threads=1), unit(40, 16, 2)
    found, truth = graph.search(queries, 10, expansion=1500), exact.search(queries, 10)
    assert (found.ids == truth.ids).mean() > 0.95
    assert found.recall is not None
    assert found.recall > 0.95
    assert truth.recall == 1


def test_measured_recall_is_the_share_of_the_exact_results(exact):
    graph, queries = (
        ApproximateIndex(exact, connectivity=3, expansion_add=4, threads=1),
        unit(60, 16, 2),
    )
    hidden = [[row, row + 1] for row in range(60)]
    found = graph.search(queries, 10, exclude=hidden, expansion=10, sample=60)
    truth = exact.search(queries, 10, exclude=hidden)
    share = np.mean([np.isin(a, b).mean() for a, b in zip(found.ids, truth.ids, strict=True)])
    assert found.recall == pytest.approx(share)
    assert 0.1 < found.recall < 1
    assert graph.search(queries, 10, sample=0).recall is None
    some = graph.search(queries, 10, expansion=10, exclude=hidden, sample=7, seed=3).recall
    again = graph.search(queries, 10, expansion=10, exclude=hidden, sample=7, seed=3).recall
    assert some == again


def test_a_graph_of_any_number_type_takes_bfloat16_vectors():
    vectors = unit(300, 16, 5).astype(ml_dtypes.bfloat16)
    graph = ApproximateIndex(Index(vectors), threads=1)
    found = graph.search(vectors[:20], 1, expansion=300)
    assert (found.ids[:, 0] == np.arange(20)).mean() > 0.9


def test_progress_of_an_approximate_search_reports_and_cancels(exact):
    graph, shares = ApproximateIndex(exact), []
    graph.search(unit(3, 16, 2), 2, progress=shares.append)
    assert shares == [1.0]
    with pytest.raises(SearchCancelled):
        graph.search(unit(3, 16, 2), 2, progress=lambda _: False)


def test_a_saved_graph_is_used_from_disk(exact, tmp_path):
    graph, queries = ApproximateIndex(exact), unit(5, 16, 3)
    graph.save(tmp_path / "graph.usearch")
    again = ApproximateIndex.view(exact, tmp_path / "graph.usearch")
    assert (again.search(queries, 4).ids == graph.search(queries, 4).ids).all()
    with pytest.raises(InputError, match="9 vectors of 16"):
        ApproximateIndex.view(Index(unit(9, 16, 1)), tmp_path / "graph.usearch")
    with pytest.raises(InputError, match="no graph"):
        ApproximateIndex.view(exact, tmp_path / "missing")


def test_more_than_all_passages_are_padded(exact):
    found = ApproximateIndex(Index(unit(3, 16, 1))).search(unit(2, 16, 2), 5)
    assert (found.ids[:, 3:] == -1).all()
    assert (found.scores[:, 3:] == -np.inf).all()
    assert (np.sort(found.ids[:, :3]) == [0, 1, 2]).all()


def test_fewer_than_no_passages_are_refused(exact):
    for search in (ApproximateIndex(exact).search, LexicalIndex(["a text"]).search):
        with pytest.raises(InputError, match="k of at least 0"):
            search([], -1)


TEXTS = [
    "geckos climb smooth walls",
    "a lizard is no gecko",
    "walls of stone, walls of brick",
    "",
    "smooth jazz",
    "smooth jazz",
]


def test_lexical_search_finds_rare_words_first_and_ties_by_id():
    found = LexicalIndex(TEXTS).search(["smooth walls", "JAZZ", "unknownword", ""], 4)
    assert found.ids[0, 0] == 0
    assert set(found.ids[0].tolist()) == {0, 2, 4, 5}
    assert found.ids[1].tolist() == [4, 5, -1, -1]
    assert (found.ids[2:] == -1).all()
    assert (found.scores[2:] == -np.inf).all()


def test_lexical_search_excludes():
    found = LexicalIndex(TEXTS).search(["jazz"], 2, exclude=[[4, -1, 99]])
    assert found.ids.tolist() == [[5, -1]]


@pytest.mark.parametrize("texts", [[], ["", "?"]])
def test_a_lexical_index_without_words_finds_nothing(texts):
    assert LexicalIndex(texts).search(["a word"], 2).ids.tolist() == [[-1, -1]]


def result(ids):
    array = np.array(ids, dtype=np.int64)
    return SearchResult(np.zeros(array.shape, np.float32), array)


def test_fusion_adds_reciprocal_ranks_and_breaks_ties_by_id():
    fused = fuse_results([result([[5, 7, -1]]), result([[7, 9]])], 4, constant=60.0)
    assert fused.ids.tolist() == [[7, 5, 9, -1]]
    expected = np.float32([1 / 62 + 1 / 61, 1 / 61, 1 / 62, -np.inf])
    np.testing.assert_allclose(fused.scores[0], expected, rtol=1e-6)
    assert fuse_results([result([[3]]), result([[2]])], 2, constant=0.0).ids.tolist() == [[2, 3]]


def test_weights_scale_a_route():
    fused = fuse_results([result([[1, 2]]), result([[3, 2]])], 3, constant=0.0, weights=[0.1, 1.0])
    assert fused.ids.tolist() == [[3, 2, 1]]


def test_fusion_of_different_queries_is_refused():
    with pytest.raises(InputError, match="same queries"):
        fuse_results([result([[1]]), result([[1], [2]])], 1, constant=60.0)
