"""The lexical route of mining, of the hybrid and of the evaluation: BM25 (bm25s)."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gecko_kedro.retrieval.exclusions import Exclusions
from gecko_kedro.retrieval.result import SearchResult, check_k, rank


class LexicalIndex:
    """BM25 over lower-case words of two characters and more, without English stop words.

    k1, b: Robertson and Zaragoza 2009; IDF is Lucene's, which is never negative.
    """

    def __init__(self, texts: Sequence[str], *, k1: float = 1.5, b: float = 0.75) -> None:
        import bm25s

        self._size = len(texts)
        tokens = _words(texts)
        self._bm25 = bm25s.BM25(k1=k1, b=b, method="lucene") if any(tokens) else None
        if self._bm25 is not None:
            self._bm25.index(tokens, show_progress=False)

    def search(
        self, queries: Sequence[str], k: int, *, exclude: Exclusions | Sequence[Any] | None = None
    ) -> SearchResult:
        """The ``k`` texts with the highest BM25 score, which share a word with the query.

        Order and padding are those of ``Index.search``: rows with fewer than ``k`` such texts end
        in -inf and -1.
        Raises InputError for ``k`` < 0 and for exclusions that do not fit.
        """
        check_k(k, "retrieval.LexicalIndex.search")
        excluded = Exclusions.checked(exclude, len(queries))
        found = rank(np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), int), k)
        if k == 0:
            return found
        for row, scores in enumerate(self.scores(queries)):
            hidden = excluded.of(row)
            scores[hidden[(hidden >= 0) & (hidden < self._size)]] = 0
            at_least = np.partition(scores, -k)[-k] if k < len(scores) else 0
            ids = np.flatnonzero((scores >= at_least) & (scores > 0))
            best = rank(scores[None, ids], ids[None], k)
            found.scores[row], found.ids[row] = best.scores[0], best.ids[0]
        return found

    def scores(self, queries: Sequence[str]) -> Iterator[NDArray[np.float32]]:
        """For one query after another ``(n,)`` scores of all texts, 0 without a common word."""
        for words in _words(queries):
            known = [] if self._bm25 is None else [w for w in words if w in self._bm25.vocab_dict]
            if self._bm25 is None or not known:
                yield np.zeros(self._size, np.float32)
            else:
                yield np.array(self._bm25.get_scores(known), dtype=np.float32)


def _words(texts: Sequence[str]) -> list[list[str]]:
    import bm25s

    words: list[list[str]] = bm25s.tokenize(
        list(texts), stopwords="en", return_ids=False, show_progress=False
    )
    return words
