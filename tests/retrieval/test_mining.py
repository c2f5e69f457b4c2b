"""mine_negatives against the filters written out one by one."""

import warnings

import numpy as np
import pytest
import torch
from datasets import Dataset
from sentence_transformers.util import dot_score, mine_hard_negatives, pairwise_dot_score

from gecko_kedro.base.errors import InputError
from gecko_kedro.retrieval import Index, mine_negatives


def unit(n, d, seed):
    rows = np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


PASSAGES, QUERIES = unit(400, 12, 1), unit(30, 12, 2)
POSITIVES = [[row, 2 * row + 100] for row in range(30)]


def mine(**changes):
    options = {"k": 40, "n_negatives": 5, "strategy": "random", "seed": 3} | changes
    return mine_negatives(Index(PASSAGES), QUERIES, options.pop("positives", POSITIVES), **options)


@pytest.mark.parametrize("strategy", ["top", "random", "last"])
def test_what_is_drawn_passes_every_filter(level, strategy):
    mined = mine(
        strategy=strategy, rank_window=(2, 30), absolute_margin=-0.6, relative_margin=-2.0,
        max_score=0.7, min_score=0.2, exclude=[[7, 8, 9]] * 30,
    )  # fmt: skip
    truth = QUERIES.astype(np.float64) @ PASSAGES.T.astype(np.float64)
    for row in range(30):
        positive = truth[row, POSITIVES[row]].min()
        hidden = {7, 8, 9, *POSITIVES[row]}
        ranked = [i for i in np.argsort(-truth[row]) if i not in hidden][2:30]
        allowed = [
            i for i in ranked
            if 0.2 <= truth[row, i] <= 0.7 and truth[row, i] <= positive + 0.6
            and truth[row, i] <= positive * 3
        ]  # fmt: skip
        chosen = [i for i in mined.ids[row] if i >= 0]
        assert len(chosen) == min(5, len(allowed))
        assert set(chosen) <= set(allowed)
        if strategy == "top":
            assert chosen == allowed[:5]
        if strategy == "last":
            assert chosen == allowed[::-1][:5]
        assert np.allclose(mined.scores[row, : len(chosen)], truth[row, chosen], atol=1e-6)
        assert (row in mined.unfilled) == (len(allowed) < 5)
    assert sum(mined.counts.values()) == 30 * 40


def test_a_refusal_counts_for_its_first_reason():
    mined = mine(rank_window=(1, 11), max_score=-1.0, min_score=1.0)
    assert mined.counts == {
        "outside_rank_window": 30 * 30,
        "above_max_score": 30 * 10,
        "below_min_score": 0,
        "eligible": 0,
    }
    assert (mined.ids == -1).all()
    assert (mined.scores == -np.inf).all()
    assert mined.unfilled.tolist() == list(range(30))


def test_a_query_without_positives_passes_the_margins():
    mined = mine(positives=[[]] * 30, absolute_margin=5.0, relative_margin=0.9)
    assert mined.counts["eligible"] == 30 * 40
    assert not mined.unfilled.size


def test_draws_belong_to_query_ids():
    first = mine(query_ids=np.arange(30) + 5)
    assert (mine(query_ids=np.arange(30) + 5).ids == first.ids).all()
    assert (mine(query_ids=np.arange(30)).ids != first.ids).any()


def test_a_positive_that_is_not_in_the_index_is_refused():
    with pytest.raises(InputError, match="400"):
        mine(positives=[[400]] * 30)


def test_a_relative_margin_lowers_the_limit_of_a_negative_positive_too():
    passages = np.float32([[-0.5], [-0.45], [-0.55], [-0.7]])
    mined = mine_negatives(
        Index(passages), np.float32([[1.0]]), [[0]],
        k=3, n_negatives=3, strategy="top", seed=0, relative_margin=0.2,
    )  # fmt: skip
    assert mined.ids.tolist() == [[3, -1, -1]]  # at most -0.6
    assert mined.counts["within_relative_margin"] == 2


def test_a_positive_below_any_score_or_query_ids_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="positives"):
        mine(positives=[[-1]] * 30)
    with pytest.raises(InputError, match="query_ids"):
        mine(query_ids=[1, 2])
    for wrong in ({"strategy": "worst"}, {"n_negatives": -1}, {"seed": -1}):
        with pytest.raises(InputError, match=r"retrieval\.mine_negatives"):
            mine(**wrong)
    with pytest.raises(InputError, match="k of at least 0"):
        mine(k=-1)


class Encoder:
    """What sentence_transformers asks of a model: here texts are numbers of rows."""

    device = torch.device("cpu")

    def encode_query(self, texts, **_):
        return QUERIES[[int(text) for text in texts]]

    def encode_document(self, texts, **_):
        return PASSAGES[[int(text) for text in texts]]

    similarity = staticmethod(dot_score)
    similarity_pairwise = staticmethod(pairwise_dot_score)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"relative_margin": 0.3},
        {"absolute_margin": 0.1, "min_score": -0.2},
        {"max_score": 0.6, "min_score": 0.1, "relative_margin": -1.0},
        {"absolute_margin": -0.2, "relative_margin": -0.4},
    ],
    ids=str,
)
def test_sentence_transformers_mines_the_same(level, options):
    """Its ``mine_hard_negatives`` with the strategy "top", on the options that both have."""
    n_negatives, pairs = 4, [(row, text) for row in range(30) for text in POSITIVES[row]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what it imports
        theirs = mine_hard_negatives(
            Dataset.from_dict(
                {"query": [str(q) for q, _ in pairs], "positive": [str(p) for _, p in pairs]}
            ),
            Encoder(),
            corpus=[str(row) for row in range(len(PASSAGES))],
            range_min=0, range_max=100, num_negatives=n_negatives, sampling_strategy="top",
            output_format="labeled-list", verbose=False, **options,
        )  # fmt: skip
    expected: dict[int, list[int]] = {}
    for row in theirs:
        texts, labels = row["positive"], row["labels"]
        negatives = [int(t) for t, label in zip(texts, labels, strict=True) if not label]
        expected[int(row["query"])] = negatives
    mined = mine(strategy="top", n_negatives=n_negatives, k=100, **options)
    assert expected
    for row in range(30):
        ours = [i for i in mined.ids[row].tolist() if i >= 0]
        assert ours == expected.get(row, [])
