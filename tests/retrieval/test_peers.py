"""The peers' own answers on real embeddings, up to ties."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from gecko_kedro.encoder import encode_texts, load_encoder
from gecko_kedro.retrieval import Index, LexicalIndex
from tests.support.oracle import assert_is_exact

K = 10
Embedded = tuple[NDArray[np.float32], NDArray[np.float32]]


@pytest.fixture(scope="module")
def embedded(shared_data: Callable[[str], Path]) -> Embedded:
    folder = shared_data("eval_mlquestions")
    model = load_encoder("all-MiniLM-L6-v2", max_seq_length=64)
    queries = pl.read_parquet(folder / "queries_dev.parquet")["text"].head(80).to_list()
    passages = pl.read_parquet(folder / "corpus.parquet")["text"].head(400).to_list()
    return encode_texts(model, queries, batch_size=32), encode_texts(model, passages, batch_size=32)


def assert_same_up_to_ties(ids: NDArray[np.int64], ours: Index, queries: NDArray[np.float32]):
    found = ours.search(queries, K)
    theirs = ours.score_pairs(queries, ids)
    np.testing.assert_allclose(np.sort(theirs)[:, ::-1], found.scores, atol=1e-6)
    same = np.sort(ids, axis=1) == np.sort(found.ids, axis=1)
    for row in np.flatnonzero(~same.all(axis=1)):  # only passages that score like the last one
        differing = set(ids[row]) ^ set(found.ids[row])
        scores = ours.score_pairs(queries[row : row + 1], [sorted(differing)])
        np.testing.assert_allclose(scores, found.scores[row, -1], atol=1e-6)


@pytest.mark.shared_data
def test_real_embeddings_are_searched_exactly(level, embedded: Embedded):
    queries, passages = embedded
    assert_is_exact(Index(passages).search(queries, K), queries, passages, K)


@pytest.mark.shared_data
def test_faiss_finds_the_same(level, embedded: Embedded):
    faiss = pytest.importorskip("faiss", exc_type=ImportError)
    queries, passages = embedded
    flat = faiss.IndexFlatIP(passages.shape[1])
    flat.add(passages)
    assert_same_up_to_ties(flat.search(queries, K)[1], Index(passages), queries)


@pytest.mark.shared_data
def test_sentence_transformers_semantic_search_finds_the_same(level, embedded: Embedded):
    from sentence_transformers.util import dot_score, semantic_search

    queries, passages = embedded
    hits = semantic_search(queries, passages, top_k=K, score_function=dot_score)
    ids = np.array([[hit["corpus_id"] for hit in row] for row in hits])
    assert_same_up_to_ties(ids, Index(passages), queries)


def test_bm25s_ranks_the_same_texts():
    bm25s = pytest.importorskip("bm25s")
    random = np.random.default_rng(0)
    words = [f"w{i}" for i in range(60)]
    texts = [" ".join(random.choice(words, size=random.integers(3, 30))) for _ in range(200)]
    peer = bm25s.BM25(method="lucene")
    peer.index(bm25s.tokenize(texts, stopwords=None, show_progress=False), show_progress=False)
    queries = ["w1 w2", "w3 w4 w59"]
    tokens = bm25s.tokenize(queries, stopwords=None, show_progress=False)
    _, scores = peer.retrieve(tokens, k=K, show_progress=False)
    np.testing.assert_allclose(LexicalIndex(texts).search(queries, K).scores, scores, rtol=1e-6)
