import logging

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gecko_kedro.base.errors import InputError
from gecko_kedro.corpus.schemas import PASSAGE_SCHEMA
from gecko_kedro.corpus.settings import HeldoutSettings
from gecko_kedro.corpus.splits import cap, split_heldout, stable_hash


def settings(groups: list[str], fraction: float, seed: int) -> HeldoutSettings:
    return HeldoutSettings(groups=groups, fraction=fraction, max_passages=None, seed=seed)


def passages(groups: list[str]) -> pl.DataFrame:
    rows = [
        (f"p{n}", f"p{n}", None, f"Summary {n}", f"text {n}", group, 0, 6)
        for n, group in enumerate(groups)
    ]
    return pl.DataFrame(rows, schema=PASSAGE_SCHEMA, orient="row")


@given(st.lists(st.sampled_from("abcdefgh"), min_size=2), st.floats(0, 0.6), st.integers(0, 99))
def test_a_split_parts_whole_groups_and_loses_nothing(groups, fraction, seed) -> None:
    table = passages([*groups, "train"])
    train, heldout = split_heldout(table, settings(["a", "b"], 0.0, seed))
    assert set(heldout["group"]) == set(groups) & {"a", "b"}
    assert not set(train["group"]) & {"a", "b"}
    assert pl.concat([train, heldout]).sort("passage_id").equals(table.sort("passage_id"))


def test_a_group_stays_on_its_side_when_the_corpus_grows() -> None:
    small = [f"g{n}" for n in range(50)]
    large = [f"g{n}" for n in range(100)]
    _, before = split_heldout(passages(small), settings([], 0.3, 1))
    _, after = split_heldout(passages(large), settings([], 0.3, 1))
    assert set(before["group"]) == set(after["group"]) & set(small)
    assert 15 < after.height < 45


def test_a_fraction_above_nothing_holds_out_at_least_one_of_two_groups() -> None:
    for seed in range(20):
        train, heldout = split_heldout(passages(["a", "b"]), settings([], 1e-9, seed))
        assert (train.height, heldout.height) == (1, 1)


def test_holding_out_nothing_is_allowed_and_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        train, heldout = split_heldout(passages(["a"]), settings(["x"], 0.0, 1))
    assert (train.height, heldout.height) == (1, 0)
    assert "No passages of the held-out groups x" in caplog.text
    assert "Nothing is held out" in caplog.text


def test_holding_out_everything_is_refused() -> None:
    with pytest.raises(InputError, match=r"no group but a, b.*Name fewer"):
        split_heldout(passages(["a", "b"]), settings(["a", "b"], 0.0, 1))


@given(st.integers(0, 40), st.integers(0, 40), st.integers(-5, 5))
def test_a_larger_cap_gives_a_superset_in_the_given_order(
    small: int, large: int, seed: int
) -> None:
    small, large = sorted((small, large))
    table = passages(["g"] * 30)
    less, more = (cap(table, limit=limit, seed=seed) for limit in (small, large))
    assert less.height == min(small, 30)
    assert set(less["passage_id"]) <= set(more["passage_id"])
    order = {row_id: n for n, row_id in enumerate(table["passage_id"])}
    assert [order[i] for i in more["passage_id"]] == sorted(order[i] for i in more["passage_id"])


def test_a_passage_more_displaces_at_most_one_under_the_cap() -> None:
    before = set(cap(passages(["g"] * 50), limit=10, seed=4)["passage_id"])
    after = set(cap(passages(["g"] * 51), limit=10, seed=4)["passage_id"])
    assert len(before - after) <= 1


def test_no_limit_keeps_all() -> None:
    assert cap(passages(["g"] * 3), limit=None, seed=1).height == 3


def test_the_hash_is_the_same_on_every_machine() -> None:
    assert stable_hash("gecko", seed=7) == 17444245476660197588
    assert stable_hash("gecko", seed=8) != stable_hash("gecko", seed=7)
